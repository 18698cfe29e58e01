"""What people say of a run in the viewer: a form that any door reads, and the evaluation it amounts to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from re import compile as pattern
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from llmobs.answers.subjects import MAX_EXPLANATION, Subject, find_subject
from llmobs.events import EvaluationEvent, EvaluationSource
from llmobs.recorded.ids import derived_id
from llmobs.store.engine import ReadsStore

__all__ = [
    "COMMENT",
    "FORM",
    "MAX_BYTES",
    "RATINGS",
    "THUMBS",
    "FormError",
    "evaluation_of",
    "fields_of",
    "local_path",
    "subject_of",
]

THUMBS: Final = "thumbs"
"""Name of the evaluation that a thumb is."""
COMMENT: Final = "comment"
"""And of a comment without one."""
RATINGS: Final[Mapping[str, float]] = MappingProxyType({"up": 1.0, "down": 0.0})
"""Labels of thumbs, and their scores."""

FORM: Final = "application/x-www-form-urlencoded"
"""The type that forms are posted as."""
MAX_BYTES: Final = 128 * 1024
"""Of a form: three times what the longest comment takes, each of its characters written as three."""
MAX_FIELDS: Final = 20
_LOCAL: Final = pattern(r"/(?![/\\])[!-\[\]-~]{0,2000}")
"""Printable ASCII without a backslash, which browsers read as a slash; two at the start name a host."""


class FormError(ValueError):
    """
    What came is no form of ours, or says nothing.

    Args:
        status: Of HTTP.
        words: What is wrong, and the way out.
        field: Which part is at fault.
    """

    def __init__(self, status: int, words: str, field: str) -> None:
        super().__init__(words)
        self.status = status
        self.field = field


def fields_of(body: bytes) -> Mapping[str, str]:
    """
    Return the fields of a form.

    Raises:
        FormError: There are too many, or one of them twice.
    """
    try:
        fields = parse_qsl(
            body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise FormError(400, f"a form has up to {MAX_FIELDS} fields", "body") from None
    if len(fields) != len({name for name, _ in fields}):
        raise FormError(400, "a field stands there twice", "body")
    return dict(fields)


def local_path(text: str) -> str | None:
    """Return *text* if it is an address on this server, without its host; else None."""
    return text if _LOCAL.fullmatch(text) else None


def subject_of(store: ReadsStore, form: Mapping[str, str], project: str | None) -> Subject:
    """
    Find what a form is about.

    Args:
        store: Where to look.
        form: Its fields.
        project: The one project whose runs may be seen; None: any.

    Raises:
        FormError: 404: it is not there.
    """
    run_id, event_id = form.get("run") or None, form.get("event") or None
    found = find_subject(store, None if event_id else run_id, event_id, project)
    if found is None or not found.is_known:
        raise FormError(404, "The run, or what it is about, is not there any more.", "run")
    return found


def evaluation_of(form: Mapping[str, str], subject: Subject) -> EvaluationEvent:
    """
    Return the event that a form amounts to.

    Raises:
        FormError: 400: it says nothing, or too much.
    """
    rating, comment = form.get("rating", ""), form.get("comment", "").strip()
    if rating not in RATINGS and not comment:
        raise FormError(400, "Say good or bad, or leave a comment.", "comment")
    if len(comment) > MAX_EXPLANATION:
        raise FormError(400, f"A comment has up to {MAX_EXPLANATION:,} characters.", "comment")
    return EvaluationEvent(
        # A form that is sent twice says it once; who changes their mind says another thing.
        event_id=derived_id(
            "feedback", form.get("id", ""), subject.run_id, subject.event_id or "", rating, comment
        ),
        run_id=subject.run_id,
        parent_id=subject.event_id,
        project_id=subject.project,
        timestamp=datetime.now(UTC),
        name=THUMBS if rating in RATINGS else COMMENT,
        score=RATINGS.get(rating),
        label=rating if rating in RATINGS else None,
        explanation=comment or None,
        source=EvaluationSource.USER,
        standalone=True,
    )
