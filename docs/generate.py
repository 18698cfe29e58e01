"""
Write the reference pages that are made from the code: settings, events, drop reasons.

Run ``python docs/generate.py`` after changing one; a test fails if a page is not current.
"""

import ast
import inspect
from pathlib import Path
from typing import Any

import msgspec

from llmobs import codec, events
from llmobs.pipeline import statistics
from llmobs.settings import Settings

HERE = Path(__file__).parent / "reference"


def attribute_docs(cls: type) -> dict[str, str]:
    """Return the docstring below each attribute of *cls*."""
    tree = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(tree, ast.ClassDef)
    docs = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        target = getattr(node, "target", None) or (getattr(node, "targets", None) or [None])[0]
        if (
            isinstance(target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            docs[target.id] = " ".join(str(after.value.value).split())
    return docs


def settings_page() -> str:
    docs = attribute_docs(Settings)
    lines = [
        "# Settings",
        "",
        "Each is a keyword of `Client`, `AsyncClient` and the middlewares, and an environment variable",
        "`LLMOBS_<NAME>`; keywords win. A wrong value raises `ConfigurationError`, which names the",
        "variable and what would be right.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default!r}`"
        lines += [
            f"## {name}",
            "",
            f"`LLMOBS_{name.upper()}`, default {default}",
            "",
            docs[name],
            "",
        ]
    return "\n".join(lines)


def events_page() -> str:
    common = {f.name for f in msgspec.structs.fields(events.Event)}
    lines = [
        "# Events",
        "",
        "The native JSON of an event is its fields, defaults left out, with `event_type` as the tag. Times are UTC,",
        "durations milliseconds, money US dollars; cached tokens are part of `tokens_input`, reasoning tokens of",
        "`tokens_output`.",
        "",
        "## Fields of every event",
        "",
        *fields_table(events.Event, set()),
    ]
    for kind in codec.AnyEvent.__args__:
        lines += [
            f"## {kind.event_type}",
            "",
            f"`{kind.__name__}`: {first_line(kind)}",
            "",
            *fields_table(kind, common),
        ]
    lines += [
        "## error",
        "",
        "`ErrorInfo`, in the field `error` of events:",
        "",
        *fields_table(events.ErrorInfo, set()),
    ]
    return "\n".join(lines)


def first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n")[0]


def fields_table(kind: Any, leave_out: set[str]) -> list[str]:
    docs = attribute_docs(kind)
    rows = [
        f"| `{f.name}` | {type_name(f.type)} | {docs.get(f.name, '')} |"
        for f in msgspec.structs.fields(kind)
        if f.name not in leave_out
    ]
    return ["| field | type | meaning |", "|---|---|---|", *rows, ""]


def type_name(kind: Any) -> str:
    text = (
        kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", ()) else str(kind)
    )
    return text.replace("typing.", "").replace("llmobs.events.", "").replace("|", "or")


def drop_reasons_page() -> str:
    docs = attribute_docs(statistics.DropReason)
    rows = [f"| `{reason.value}` | {docs[reason.name]} |" for reason in statistics.DropReason]
    return "\n".join(
        [
            "# Why events are dropped",
            "",
            "`client.statistics().dropped` counts events by these reasons, and",
            "`accepted = delivered + sum(dropped) + spooled + pending` holds at any moment.",
            "",
            "| reason | meaning |",
            "|---|---|",
            *rows,
            "",
        ]
    )


PAGES = {
    "settings.md": settings_page,
    "events.md": events_page,
    "drop-reasons.md": drop_reasons_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
