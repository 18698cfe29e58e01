"""When two sightings may be of one call: by response id, else by model and time."""

from __future__ import annotations

from functools import lru_cache

from llmobs.capture.sighting import GRACE_SECONDS, Sighting

__all__ = [
    "is_like",
    "is_same_model",
    "is_vague",
    "may_be_about",
    "may_be_same",
    "model_of",
    "relation",
    "response_ids",
]


def model_of(root: Sighting) -> str:
    """Return the model that was asked for, without who serves it; empty if it is not known yet."""
    if root.inner is None:
        return _bare(root.model)
    return _bare(next((part.model for part in root.parts if part.model), ""))


@lru_cache(maxsize=1024)
def _bare(model: str) -> str:
    return model.rpartition("/")[2].lower()


def is_like(one: Sighting, other: Sighting, model: str = "") -> bool:
    """Whether both may be the same call: by response id, else by model and time."""
    ids = relation(one, other)
    if ids != "unknown":
        return ids == "same"
    its = _bare(model) if model else model_of(other)
    return is_same_model(model_of(one), its) and _begins_in(one, other) and _begins_in(other, one)


def is_vague(root: Sighting) -> bool:
    """Whether it may turn out to be about any model: some spans tell of theirs only when they end."""
    return root.door == "span" and root.ended is None and not model_of(root)


def may_be_about(root: Sighting, model: str) -> bool:
    """Whether *root* may be a call of *model*, for all that is known before the calls are compared."""
    if not model or response_ids(root):
        return True
    mine = model_of(root)
    return is_same_model(mine, model) or (not mine and is_vague(root))


def may_be_same(one: Sighting, other: Sighting) -> bool:
    """Whether both may be the same call, seen by different doors; none of them goes around the other."""
    if "block" in (one.door, other.door) or one.door == other.door:
        return False
    if one.tracker.client is not other.tracker.client:
        return False  # each has its own ledger
    if one.inner is not None or other.inner is not None:
        doors = {part.door for part in one.parts}
        if not doors.isdisjoint(part.door for part in other.parts):
            return False
    if is_vague(one) or is_vague(other):
        return _begins_in(one, other) and _begins_in(other, one)
    return is_like(one, other)


def response_ids(root: Sighting) -> set[str]:
    """Return the ids of the answer that anybody who saw *root* knows by now."""
    return {part.response_id for part in root.parts if part.response_id is not None}


def relation(one: Sighting, other: Sighting) -> str:
    """Say whether the answers of both are the ``same`` or each the ``other``'s, by id; else ``unknown``."""
    if one.inner is None and other.inner is None:  # mostly
        if one.response_id is None or other.response_id is None:
            return "unknown"
        return "same" if one.response_id == other.response_id else "other"
    mine, its = response_ids(one), response_ids(other)
    if not mine or not its:
        return "unknown"
    return "other" if mine.isdisjoint(its) else "same"


def is_same_model(one: str, other: str) -> bool:
    """Whether both name one model: ``gpt-4o`` and ``gpt-4o-2024-08-06`` are one."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _begins_in(one: Sighting, other: Sighting) -> bool:
    ended = other.ended
    if ended is None:
        return True
    return one.started <= ended + (0.0 if other.answered else GRACE_SECONDS)
