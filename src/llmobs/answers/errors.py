"""Why a question has no answer; each door says it in its own form."""

from collections.abc import Sequence

__all__ = ["AddressError", "NotFoundError", "SeveralError"]


class AddressError(ValueError):
    """
    What is asked for cannot be.

    Args:
        field: Which part of the question.
        words: What is wrong, and what is right.
    """

    def __init__(self, field: str, words: str) -> None:
        super().__init__(f"{field}: {words}")
        self.field = field


class NotFoundError(LookupError):
    """
    Nothing is there, or nothing that the asker may see: which of both is not told.

    Args:
        what: What was looked for: ``run``, ``event``.
        words: What is not there.
    """

    def __init__(self, what: str, words: str) -> None:
        super().__init__(words)
        self.what = what


class SeveralError(NotFoundError):
    """
    Several things are called so.

    Args:
        what: What was looked for.
        words: What to do.
        candidates: Some of their ids.
    """

    def __init__(self, what: str, words: str, candidates: Sequence[str]) -> None:
        super().__init__(what, words)
        self.candidates = tuple(candidates)
