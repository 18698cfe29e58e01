"""What installing and importing llmobs costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv

from benchmarks import CACHE, ROOT
from benchmarks.harness import Budget, Result, Samples, console

TITLE = "Import time and base install"
_PROGRAMS = {
    "python": "pass",
    "anyio, msgspec": "import anyio, msgspec",
    "llmobs": "import llmobs",
    "llmobs, a client": "import llmobs; llmobs.Client(sink='memory:').close()",
    "llmobs.contrib.asgi": "import llmobs.contrib.asgi",
}


def _fresh_install() -> str:
    """A virtual environment with the base install only; its interpreter."""
    home = CACHE / "base"
    with console().status("imports: installing into a fresh environment"):
        venv.create(home, clear=True)
        python = str(home / "bin" / "python")
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python,
             "--constraint", "constraints.txt", "."],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
    return python


def _distributions(python: str) -> list[str]:
    script = (
        "import json; from importlib.metadata import distributions;"
        "print(json.dumps(sorted(d.name for d in distributions())))"
    )
    out = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
    return list(json.loads(out.stdout))


def run(quick: bool) -> Result:
    """Best and median wall time of interleaved fresh interpreters, less that of bare Python."""
    python = _fresh_install()
    found = Samples()
    with console().status("imports: starting interpreters"):
        for number in range(8 if quick else 25):
            for name, program in _PROGRAMS.items():
                begin = time.perf_counter()
                subprocess.run([python, "-c", program], check=True, cwd=CACHE)
                if number:  # the first one writes byte code
                    found.add(name, {"ms": (time.perf_counter() - begin) * 1000})
    names = _distributions(python)
    bare = found.median("python", "ms") or 0
    best_bare = found.best("python", "ms") or 0
    ours = (found.median("llmobs", "ms") or 0) - bare
    return Result(
        TITLE,
        ("program", "median ms", "over bare Python", "best over best"),
        [
            (
                v,
                found.median(v, "ms"),
                (found.median(v, "ms") or 0) - bare,
                (found.best(v, "ms") or 0) - best_bare,
            )
            for v in found.variants
        ],
        [
            Budget("import llmobs over bare Python", ours, 120, "ms"),
            Budget("distributions of the base install", len(names), 16),
        ],
        f"Base install: {', '.join(names)}.",
    )
