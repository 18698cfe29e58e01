"""What is wrong with one of the things that came together, and with which field of it."""

import msgspec

from llmobs.recorded.printable import brief

__all__ = ["MAX_WORDS", "Verdict", "field_of", "words_of"]

MAX_WORDS = 300


class Verdict(msgspec.Struct, omit_defaults=True):
    """Why one of them was refused."""

    index: int
    """Its place among them, from 0."""
    message: str
    event_id: str | None = None
    """Its id, if it has one."""
    field: str | None = None
    """The field at fault, if one is."""


def words_of(error: Exception) -> str:
    """Return what *error* says, in short."""
    return brief(str(error), MAX_WORDS)


def field_of(error: msgspec.ValidationError) -> str | None:
    """Return the field that msgspec names: ``… - at `$.tokens_input```, ``missing … field `run_id```."""
    words = str(error)
    _, at, path = words.rpartition(" - at `$.")
    if at:
        return brief(path.rstrip("`"), MAX_WORDS)
    for mark in ("missing required field `", "contains unknown field `"):
        _, found, name = words.partition(mark)
        if found:
            return brief(name.partition("`")[0], MAX_WORDS)
    return None
