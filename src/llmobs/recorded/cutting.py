"""Cutting what is not redacted yet: between words, for half a secret is none that redaction finds."""

import re
from typing import Final

__all__ = ["cut_text", "end_of_words"]

SEARCH: Final = 256
"""Characters at the end of a text to be cut in which the end of a word is sought."""
_END: Final = re.compile(r"[^\W\d][^\w\s]?(?=\s+[^\W\d])")
_END_OF_BYTES: Final = re.compile(_END.pattern.encode())


def cut_text(text: str, limit: int) -> str:
    """
    Return the first *limit* bytes of *text*, or a little less, with a mark that says how much was left out.

    Ends between words, and not between digits. Of a text in one word nothing is kept, unless much is:
    it is no word then.
    """
    head = text[: max(limit, 0)]
    if not head.isascii():
        head = head.encode(errors="surrogatepass")[: max(limit, 0)].decode(errors="ignore")
    ends = [m.end() for m in _END.finditer(head, max(0, len(head) - SEARCH))]
    if ends:
        head = head[: ends[-1]]
    elif len(head) <= SEARCH:
        head = ""
    left = f"{len(text) - len(head):,} characters left out"
    return f"{head}... {left}" if head else f"<{left}>"


def end_of_words(data: bytes) -> int:
    """Return where in *data*, cut already, the last whole word ends; its length if that is far before."""
    ends = [m.end() for m in _END_OF_BYTES.finditer(data, max(0, len(data) - SEARCH))]
    return ends[-1] if ends else len(data)
