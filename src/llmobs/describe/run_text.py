"""A run as a plain text: for a colleague, a ticket or an agent."""

from collections.abc import Iterator, Sequence
from typing import Final

from llmobs.describe.events import contents, error_line, error_of, figures, kind_of
from llmobs.describe.tree import nodes
from llmobs.describe.words import duration, moment, money, one_line, several, sum_of, visible
from llmobs.events import Event, RunEvent
from llmobs.store.records import Evaluation, RunSummary

__all__ = ["run_as_text"]

CHARACTERS: Final = 2_000
"""Of one text."""
ALL_CHARACTERS: Final = 200_000
"""Of the whole, beyond which texts are only begun."""
BEGUN: Final = 200


def run_as_text(
    run: RunSummary,
    events: Sequence[Event],
    evaluations: Sequence[Evaluation] = (),
    *,
    left: int = 0,
) -> str:
    """
    Return a run as a text that is read without llmobs.

    Args:
        run: The run.
        events: Its events, in order.
        evaluations: What was said of it.
        left: How many events there are beyond these.
    """
    lines = [*_head(run), *(_evaluation(each) for each in evaluations), ""]
    size = 0
    for node in nodes([event for event in events if not isinstance(event, RunEvent)]):
        for line in _event(node.event, run, "  " * node.depth, size > ALL_CHARACTERS):
            lines.append(line)
            size += len(line)
    if left > 0:
        lines.append(f"... and {several(left, 'event')} more")
    return "\n".join(lines).rstrip() + "\n"


def _head(run: RunSummary) -> Iterator[str]:
    status = run.status or ("running" if run.running else "not ended")
    yield f"{one_line(run.name or run.kind or 'run', 200)}: {one_line(str(status), 40)}"
    yield f"run {one_line(run.run_id)}"
    yield f"{moment(run.started)} UTC, {duration(run.duration_ms)}"
    if run.calls:
        yield (
            f"{several(run.calls, 'call')}, {sum_of(run.tokens_input, run.uncounted)} tokens in,"
            f" {sum_of(run.tokens_output, run.uncounted)} out, {money(run.cost_usd, run.unpriced)}"
        )
    if run.errors:
        yield f"{several(run.errors, 'event')} failed"
    for label, value in (
        ("service", run.service_name), ("release", run.release), ("environment", run.environment),
        ("user", run.user_id), ("session", run.session_id), ("started by", run.parent_run_id),
        ("trace", run.trace_id), ("tags", " ".join(run.tags)),
    ):  # fmt: skip
        if value:
            yield f"{label} {one_line(value, 200)}"


def _evaluation(one: Evaluation) -> str:
    score = "" if one.score is None else f"{one.score:g}"
    words = [score, one.label, one.explanation, f"by {one.source or 'code'}"]
    said = ", ".join(one_line(word, 200) for word in words if word)
    return f"evaluation {one_line(one.name or 'unnamed', 60)}: {said}"


def _event(event: Event, run: RunSummary, indent: str, is_late: bool) -> Iterator[str]:
    offset = (event.timestamp - run.started).total_seconds() * 1000
    took = getattr(event, "latency_ms", None)
    words = [f"+{duration(offset)}", "" if took is None else f"took {duration(took)}"]
    about = one_line(str(event.subject or ""), 200)
    facts = ", ".join(word for word in (*words, *figures(event)) if word)
    yield f"{indent}{kind_of(event)} {about} ({facts})"
    if error := error_of(event):
        yield f"{indent}  failed: {error_line(error)}"
    for sign, text in contents(event, full=False):
        limit = BEGUN if is_late else CHARACTERS
        shown = visible(text[:limit])
        if len(text) > limit:
            shown = f"{shown} ... {len(text) - limit:,} characters more"
        first, *rest = shown.split("\n")
        yield f"{indent}  {sign} {first}"
        yield from (f"{indent}    {line}" for line in rest)
