"""
How many instructions capture costs its caller, counted by callgrind: the same on a busy machine.

    python -m benchmarks.instructions           # compare with the ceilings; part of `make check`
    python -m benchmarks.instructions --set     # write what is counted now as the ceilings

The figures are those of one build of Python. On another, or where valgrind is missing, nothing is
counted, and one line says so.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextvars import copy_context
from itertools import cycle
from pathlib import Path
from typing import Final

from benchmarks import ROOT

CEILINGS: Final = Path(__file__).with_suffix(".json")
SLACK: Final = 1.1
"""
How far above its ceiling a figure may be. Where objects come to lie in memory is another thing each
time: six per cent were seen between two runs of the same code.
"""
FEW: Final = 100
MANY: Final = 300
WARM_UP: Final = 60
"""Calls after which the interpreter has specialised what it runs."""


NAMES: Final = (
    "client.log_prompt_call", "run.log_prompt_call", "with run.agent_step()",
    "with run.prompt_call()", "a run without events", "a run with one", "a transport alone",
    "a captured call", "a request to another host",
)  # fmt: skip


def paths() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is counted, in the order of `NAMES`."""
    import httpx2

    from benchmarks.capture.answers import Answers, ask_openai, play
    from benchmarks.workload import NullSink, calls
    from llmobs import AsyncClient
    from llmobs.contrib.httpx import RecordingTransport

    client = AsyncClient(sink=NullSink())  # in no event loop: nothing is delivered
    run = client.run()
    given = cycle(calls(200))

    def of_client() -> None:
        args, kwargs = next(given)
        client.log_prompt_call(*args, **kwargs)

    def of_run() -> None:
        args, kwargs = next(given)
        run.log_prompt_call(*args[1:], **kwargs)

    def step() -> None:
        with run.agent_step("search", "reasoning", input_data={"query": "q"}) as block:
            block.output_data = "found"

    def call() -> None:
        with run.prompt_call(model="gpt-4o", prompt="Hello") as block:
            block.finish(response="Hi", tokens_input=9, tokens_output=3)

    def nothing() -> None:
        with client.run(name="GET /"):
            pass

    def job() -> None:
        with client.run(name="job") as inner:
            inner.log_error("e")

    plain, asked = Answers("openai"), ask_openai(stream=False)
    recording = RecordingTransport(plain, llmobs_client=client)
    elsewhere = httpx2.Request("POST", "https://shop.example/orders/17", json={"item": "tea"})
    in_run = copy_context()
    in_run.run(client.run().__enter__)  # of its own: what is entered has more to look at

    def alone() -> None:
        play(plain, elsewhere)

    def captured() -> None:
        in_run.run(play, recording, asked)

    def other() -> None:
        play(recording, elsewhere)

    paths = of_client, of_run, step, call, nothing, job, alone, captured, other
    yield from zip(NAMES, paths, strict=True)


def count_here() -> None:
    """Run every path, a few times and many times, a dump after each; what callgrind runs."""
    pid = str(os.getpid())

    def control(*order: str) -> None:
        command = ["callgrind_control", *order, pid]
        child = os.posix_spawnp(command[0], command, os.environ)
        assert os.waitpid(child, 0)[1] == 0

    found = list(paths())
    control("--instr=on")  # from here on: imports would take a minute
    gc.disable()
    for _, path in found:
        for calls in (WARM_UP, FEW, MANY):
            for _ in range(calls):
                path()
            control("--dump")


def count() -> dict[str, int]:
    """Return the instructions of one call of each path."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no",
             f"--callgrind-out-file={folder}/out", sys.executable, "-m", __spec__.name, "--here"],
            cwd=ROOT, check=True, capture_output=True, text=True, timeout=600,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        sums = [
            int(re.findall(r"^totals: (\d+)", Path(f"{folder}/out.{n}").read_text(), re.M)[-1])
            for n in range(1, 3 * len(NAMES) + 1)
        ]
    # What surrounds the calls is the same for few and for many, and falls out.
    pairs = zip(NAMES, sums[1::3], sums[2::3], strict=True)
    return {name: (many - few) // (MANY - FEW) for name, few, many in pairs}


def main() -> int:
    """Compare, or set the ceilings; 1 if one is exceeded."""
    if "--here" in sys.argv:
        count_here()
        return 0
    held = json.loads(CEILINGS.read_text())
    is_set = "--set" in sys.argv
    if shutil.which("valgrind") is None or (sys.version != held["python"] and not is_set):
        wanted = held["python"].split()[0]
        sys.stdout.write(
            f"instructions: not counted: it takes valgrind and this build of Python: {wanted}\n"
        )
        return 0
    found = count()
    if is_set:
        held = {"python": sys.version, "ceilings": found}
        CEILINGS.write_text(json.dumps(held, indent=2) + "\n")
    ceilings = held["ceilings"]
    above = [name for name, n in found.items() if n > SLACK * ceilings.get(name, 0)]
    for name, number in found.items():
        verdict = "above" if name in above else "within"
        print(
            f"{name}: {number:,} instructions, {verdict} the ceiling of {ceilings.get(name, 0):,}"
        )
    return int(bool(above))


if __name__ == "__main__":
    sys.exit(main())
