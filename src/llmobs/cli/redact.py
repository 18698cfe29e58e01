"""``llmobs redact``."""

import sys
from bisect import bisect
from pathlib import Path
from typing import Any, Final

import click

from llmobs.cli.findings import beside, rules_of, rules_options, table
from llmobs.cli.output import notes, write_json
from llmobs.describe.words import count
from llmobs.redaction.redactor import Redactor
from llmobs.redaction.scan import Span, merged

__all__ = ["redact"]

LINES: Final = 5
"""Numbers of lines that are told for a rule."""


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@rules_options
@click.option("--json", is_flag=True, help="Write JSON, for programs: the text and what was found.")
def redact(file: Path | None, kinds: tuple[str, ...], redaction: str | None, json: bool) -> None:
    """
    Show what redaction takes out of a text: FILE, or standard input.

    The redacted text goes to standard output; what went, by kind and rule, to standard error. Nothing
    says what it was.
    """
    data = sys.stdin.buffer.read() if file is None else file.read_bytes()
    text = data.decode("utf-8", "surrogateescape")
    rules = rules_of(redaction, kinds)
    redactor, more = Redactor(rules=rules), beside(rules)
    spans = redactor.find(text)
    clean = redactor.value(text)
    if more is not None:
        theirs = (s for s in more.find(text) if not rules.allowed(text[s.start : s.end], s.kind))
        spans = merged([*spans, *theirs])
        clean = more.redactor.value(clean)
    starts = [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]
    if json:
        found = [
            {"kind": s.kind, "rule": s.rule, "line": bisect(starts, s.start), "length": s.end - s.start}
            for s in spans
        ]  # fmt: skip
        write_json({"found": found, "text": clean})
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(clean.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
    _report(spans, starts)


def _report(spans: list[Span], starts: list[int]) -> None:
    out = notes()
    if not spans:
        out.print("nothing found", style="dim")
        return
    groups: dict[tuple[str, str], list[int]] = {}
    for span in spans:
        groups.setdefault((span.kind, span.rule), []).append(bisect(starts, span.start))
    rows: list[tuple[Any, ...]] = []
    for (kind, rule), lines in sorted(groups.items()):
        unique = list(dict.fromkeys(lines))
        more = f" and {len(unique) - LINES} more" if len(unique) > LINES else ""
        rows.append((kind, rule, count(len(lines)), ", ".join(map(str, unique[:LINES])) + more))
    out.print(table(("kind", "rule", "#found", "in lines"), rows))
