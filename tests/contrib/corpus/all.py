"""
All cases, and how many there are by provider and kind::

    python -m tests.contrib.corpus.all

A case is of each kind that its bytes or its expectations show.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from llmobs.contrib._wire.recognise import recognise

from . import (
    Case,
    anthropic,
    bedrock,
    cuts,
    dialects,
    further,
    google,
    interactions,
    long,
    money,
    ollama,
    openai_chat,
    openai_responses,
    other,
    servers,
)

CASES: list[Case] = [
    *openai_chat.CASES,
    *openai_responses.CASES,
    *anthropic.CASES,
    *bedrock.CASES,
    *interactions.CASES,
    *other.CASES,
    *cuts.CASES,
    *long.CASES,
    *money.CASES,
    *dialects.CASES,
    *further.CASES,
    *google.CASES,
    *ollama.CASES,
    *servers.CASES,
]


def _is_stream(case: Case) -> bool:
    return "stream" in case.headers.get("content-type", "")


def _mentions(*words: str) -> Callable[[Case], bool]:
    return lambda case: any(word in repr(case.expect) for word in words)


KINDS: dict[str, Callable[[Case], bool]] = {
    "whole": lambda case: not _is_stream(case),
    "streamed": _is_stream,
    "left or cut": lambda case: case.closed or "incomplete_stream" in repr(case.expect),
    "too long": lambda case: case.limit < len(case.body),
    "errors": lambda case: case.expect.get("status") == "error",
    "of them, good status": lambda case: case.status < 400 and case.expect.get("status") == "error",
    "tools": _mentions("tool_call", "'arguments'"),
    "reasoning": _mentions("'reasoning'", "tokens_reasoning"),
    "pictures, sounds": _mentions("'blob'", "bytes]", "image_", "audio"),
    "tokens": _mentions("tokens_input", "tokens_output", "usage"),
    "cached": _mentions("tokens_cached"),
}


def provider_of(case: Case) -> str:
    target = recognise("POST", case.host, case.path.encode())
    return "nobody" if target is None else target.provider


def table() -> dict[str, Counter[str]]:
    """The number of cases by provider, and within it by kind; ``all`` counts each once."""
    counts: dict[str, Counter[str]] = {}
    for case in CASES:
        row = counts.setdefault(provider_of(case), Counter())
        row["all"] += 1
        row.update(kind for kind, shows in KINDS.items() if shows(case))
    return dict(sorted(counts.items(), key=lambda item: -item[1]["all"]))


def main() -> None:
    names = ["all", *KINDS]
    counts = table()
    rows: list[list[Any]] = [["", *names]]
    rows += [[who, *(row[name] or "" for name in names)] for who, row in counts.items()]
    rows.append(["together", *(sum(row[name] for row in counts.values()) for name in names)])
    widths = [max(len(str(row[at])) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print("  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main()
