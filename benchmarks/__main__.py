"""
Run rows and show them: ``python -m benchmarks [name ...] [--json FILE] [--quick]``.

Without names all rows run. Full runs put their tables into ``benchmarks/RESULTS.md``, each row in
its own section; quick ones only show them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from benchmarks import __path__ as here
from benchmarks.harness import NotMeasuredError, console
from benchmarks.pace import in_words, pace
from benchmarks.report import to_markdown, to_terminal, update

RESULTS = Path(__file__).with_name("RESULTS.md")
_FIRST = (
    "caller", "delivery", "burst", "frozen", "loop", "flush", "shutdown", "asgi", "redaction",
    "imports", "store",
)  # fmt: skip
"""The order of the table in the design; rows it does not name follow by name."""


def discover() -> dict[str, ModuleType]:
    """Every module here that has a ``run``."""
    names = sorted(
        (module.name for module in pkgutil.iter_modules(here) if not module.name.startswith("_")),
        key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name),
    )
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


def main() -> int:
    """Return 0 whether or not budgets are met: figures are news, not errors. 1 if a row could not run."""
    rows = discover()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(rows)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(rows)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    figures = {}
    broken = False
    for name in arguments.names or rows:
        began, before = time.monotonic(), pace()
        try:
            result = rows[name].run(arguments.quick)
        except NotMeasuredError as error:
            console().print(f"[yellow]without {name}: {error}")
            broken = True
            continue
        except Exception:
            console().print_exception(max_frames=3)
            broken = True
            continue
        result = replace(result, notes=f"{result.notes} {in_words(before, pace())}".strip())
        figures[name] = asdict(result) | {"met": [budget.met for budget in result.budgets]}
        to_terminal(result)
        console().print(f"[dim]{name} took {time.monotonic() - began:.0f} s")
        if not arguments.quick:
            update(RESULTS, name, to_markdown(result), list(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
