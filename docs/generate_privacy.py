"""The reference page of what becomes of every field: made from `llmobs.redaction.fields`."""

from collections.abc import Mapping

from docs.docstrings import attribute_docs

from llmobs.codec import AnyEvent
from llmobs.events import ClientInfo, ErrorInfo, Event
from llmobs.redaction.fields import FIELDS, Field, Kind, OnlyMetadata, Redacted

__all__ = ["privacy_fields_page"]

HEAD = """\
# What becomes of every field

Every field of every event is decided in one table of the code, `llmobs.redaction.fields`, from which this page is
made. The one place that applies it stands before everything that writes or sends (sinks, spool, tail sampling), so
no sink and no door has rules of its own. A field that is not in the table fails a test, and so does one in which an
address survives.

Each field is one of:
"""

BETWEEN = """
The third column says what redaction does (`redact_pii=True`, the default, or `capture_content="redacted"`):
"""

METADATA = """
The fourth, what stays with `capture_content="metadata"`, where `redact_pii` has no say: what stays is redacted.
"""

EVERYWHERE = """
- Keys of mappings are redacted like their values. Numbers are left as they are.
- What an identifier is renamed to is the same in a process and in those forked from it, another one elsewhere, and
  leads nobody back; `warnings` says which field it was. UUIDs, ids of W3C traces and whatever nothing is found in
  stay as they are.
- If redacting an event fails, it leaves with its numbers, its identifiers renamed, and no text that is not one of
  our own words.
- With `redact_pii=False` and `capture_content="full"` nothing is touched, but by your own `redactor`.
"""


def privacy_fields_page() -> str:
    lines = [
        HEAD,
        *_list(Kind),
        BETWEEN,
        *_list(Redacted),
        METADATA,
        *_list(OnlyMetadata),
        EVERYWHERE,
    ]
    lines += ["## Every event", "", *_table(FIELDS[Event])]
    for kind in AnyEvent.__args__:
        lines += [f"## {kind.event_type}", "", *_table(FIELDS[kind])]
    lines += ["## error info", "", *_table(FIELDS[ErrorInfo])]
    lines += ["## client info", "", *_table(FIELDS[ClientInfo])]
    return "\n".join(lines)


def _list(words: type[Kind] | type[Redacted] | type[OnlyMetadata]) -> list[str]:
    docs = attribute_docs(words)
    return [f"- **{word.value}**: {docs[word.name]}" for word in words]


def _table(fields: Mapping[str, Field]) -> list[str]:
    rows = [
        f"| `{name}` | {f.kind.value} | {f.redacted.value} | {f.only_metadata.value} | {f.why} |"
        for name, f in fields.items()
    ]
    return ["| field | is | redacted | only metadata | why |", "|---|---|---|---|---|", *rows, ""]
