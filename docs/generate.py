"""
Write the reference pages that are made from the code: settings, events, drop reasons.

Run ``python docs/generate.py`` after changing one; a test fails if a page is not current.
"""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import msgspec

import llmobs
from llmobs import Status, codec, events
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


API = {
    "Clients": ["Client", "AsyncClient"],
    "Runs and what happens in them": ["Tracker", "PromptCall", "AgentStep", "ToolCall"],
    "Reports": ["FlushReport", "Statistics"],
}
FUNCTIONS = [
    "run",
    "current_run",
    "current_tracker",
    "default_client",
    "bind_run",
    "observe",
    "flush_on_signals",
]


def api_page() -> str:
    lines = [
        "# API",
        "",
        "What `import llmobs` offers. See also [events](events.md) and [settings](settings.md).",
        "",
    ]
    for title, names in API.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += class_entry(name)
    lines += ["## Functions", ""]
    for name in FUNCTIONS:
        lines += [f"### {name}", "", *callable_entry(name, getattr(llmobs, name))]
    return "\n".join(lines)


def class_entry(name: str) -> list[str]:
    cls = getattr(llmobs, name)
    lines = [f"### {name}", "", *prose(inspect.getdoc(cls) or "")]
    for member in sorted(dir(cls)):
        value = inspect.getattr_static(cls, member)
        defined = any(
            member in vars(base) for base in cls.__mro__ if base.__module__.startswith("llmobs")
        )
        if member.startswith("_") or not defined:
            continue
        if inspect.isfunction(value) and value.__doc__:
            lines += [f"#### {name}.{member}", "", *callable_entry(member, value)]
    return lines


def callable_entry(name: str, value: Any) -> list[str]:
    star = "async " if inspect.iscoroutinefunction(value) else ""
    signature = inspect.signature(value)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    bare = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    return [
        "```",
        f"{star}{name}{bare}".replace(str(Status.SUCCESS.__repr__()), "'success'"),
        "```",
        "",
        *prose(inspect.getdoc(value) or ""),
    ]


def prose(text: str) -> list[str]:
    # Google sections become lists; reST code quotes become Markdown's.
    text = re.sub(r":\w+:`", "`", text.replace("``", "`").replace("::\n", ":\n"))
    lines = []
    for line in text.split("\n"):
        if line in ("Args:", "Raises:"):
            lines += [f"*{line[:-1]}*", ""]
        elif line.startswith("    ") and not line.startswith("     ") and ":" in line:
            head, _, rest = line.strip().partition(":")
            lines.append(f"- `{head}`:{rest}")
        else:
            lines.append(line)
    return [*lines, ""]


PAGES = {
    "api.md": api_page,
    "settings.md": settings_page,
    "events.md": events_page,
    "drop-reasons.md": drop_reasons_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
