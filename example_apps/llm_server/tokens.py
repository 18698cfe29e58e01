"""Counts tokens of real text, deterministically and offline.

This is not the tokenizer of any provider: their vocabularies are downloads of megabytes, and this
server works without a network and without another dependency. It cuts text the way byte-pair
tokenizers cut it first (words with their leading space, digits by three, punctuation, line breaks),
and then long words into pieces. Counts are exact counts of *these* pieces; beside a provider's own
figures, take them as an estimate.
"""

import re
from collections.abc import Iterator

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PRETOKEN = re.compile(
    rf"""
      [ ]?[A-Za-z]+(?:'[a-z]{{1,2}}\b)?       # an English word, its space and its short ending
    | [ ]?[0-9]{{1,3}}                        # digits, three at a time
    | [{_CJK}]                                # one ideograph or syllable
    | [ ]?[^\W0-9_A-Za-z{_CJK}]+              # a word in any other script
    | [ ]?(?:_|[^\w\s]){{1,3}}                # punctuation
    | [ ]+(?=[ ])                             # indentation, leaving the last space to the word
    | \n+ | \s | .                            # line breaks, other blanks, whatever remains
    """,
    re.VERBOSE | re.DOTALL,
)
_WHOLE_WORD = 10  # letters: an English word up to this length is one token
_ENGLISH_PIECE = 6
_OTHER_PIECE = 3


def pieces(text: str) -> Iterator[str]:
    """Yield the tokens of `text`; joined, they are `text` again."""
    for match in _PRETOKEN.finditer(text):
        token = match[0]
        if len(token) <= _OTHER_PIECE or not token[-1].isalpha():
            yield token
        elif not token.isascii():
            yield from _cut(token, _OTHER_PIECE)
        elif len(token) <= _WHOLE_WORD + 1:
            yield token
        else:
            yield from _cut(token, _ENGLISH_PIECE)


def count(text: str) -> int:
    """How many tokens `text` has."""
    return sum(1 for _ in pieces(text))


def _cut(token: str, size: int) -> Iterator[str]:
    for start in range(0, len(token), size):
        yield token[start : start + size]
