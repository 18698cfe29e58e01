"""
The page docs/reference/captured.md: which SDKs were tried in which versions, and what is recorded of each.

Made from the table of the tests (``tests/contrib/sdks``) and from what held when they ran last, so that
nothing has to be installed to write it. `docs/generate.py` writes it with the others.
"""

from llmobs.contrib._doors import UNREACHED
from tests.contrib.agents.table import FRAMEWORKS
from tests.contrib.sdks.playing import held
from tests.contrib.sdks.table import SCENARIOS, UNTOLD, Row, Sdk, trials

__all__ = ["captured_page"]

HEAD = """\
# What is captured

Each of these was tried with the real package, in an environment of its own, against a local model server that
speaks the provider's wire. A scenario counts only if what was recorded is what the server says that it
answered (text, tools asked for, reasoning, every count of tokens, errors), and if the host got the same to the
byte with llmobs and without. The tests that do so are `tests/contrib/sdks`; this page is made of what held.
Other packages that stand on the same HTTP clients and speak the same wires go through the same code, but were not
tried here.
"""


def captured_page() -> str:
    """Return the page."""
    sdks: dict[str, Sdk] = {}
    for trial in trials():
        sdks.setdefault(trial.sdk.package, trial.sdk)
    lines = [HEAD, "## What is tried", "", "| scenario | |", "|---|---|"]
    lines += [f"| {_words(name)} | {meaning} |" for name, meaning in SCENARIOS.items()]
    lines.append("")
    for sdk in sdks.values():
        lines += _section(sdk)
    lines += _frameworks()
    lines += [
        "## Not captured",
        "",
        "Nothing can be attached to these; a process that imports one is told so once.",
        "",
        "| module | why, and what to do |",
        "|---|---|",
        *(f"| `{module}` | {why} |" for module, why in sorted(UNREACHED.items())),
        "",
    ]
    return "\n".join(lines)


def _section(sdk: Sdk) -> list[str]:
    kept = held(sdk.package)
    versions = ", ".join(kept)
    told = f"Versions {versions}; enabled by `{sdk.door}()`. {sdk.only}".rstrip()
    lines = [f"## {sdk.package}", "", told, ""]
    lines += ["| client | captured | not captured |", "|---|---|---|"]
    for row in sdk.rows:
        found = [version[row.name]["scenarios"] for version in kept.values()]
        everywhere = [name for name in found[0] if all(name in each for each in found)]
        lines.append(f"| {row.name} | {', '.join(map(_words, everywhere))} | {_without(row)} |")
    return [*lines, ""]


def _frameworks() -> list[str]:
    return [
        "## Frameworks of agents",
        "",
        "Tried in the same way, with what they do around the calls; see",
        "[how to record what agents do](../how-to/capture-agents.md) and `tests/contrib/agents`.",
        "A call that the transport records, too, is one event.",
        "",
        "| package | enabled by | recorded | not recorded |",
        "|---|---|---|---|",
        *(
            f"| {each.package} {each.version} | `{each.door}` | {each.recorded} | {each.not_recorded} |"
            for each in FRAMEWORKS.values()
        ),
        "",
    ]


def _without(row: Row) -> str:
    reasons: dict[str, list[str]] = {}
    for name, why in row.without.items():
        reasons.setdefault(why, []).append(_words(name))
    told = [f"{', '.join(names)}: {why}." for why, names in reasons.items()]
    if row.untold:
        unsaid = ", ".join(UNTOLD[name] for name in UNTOLD if name in row.untold)
        told.append(f"What neither the wire nor the SDK says: {unsaid}.")
    return " ".join([*told, row.not_captured]).strip() or "-"


def _words(name: str) -> str:
    return name.replace("_", " ")
