"""The demo: `python -m example_apps.fastapi_chat.demo`.

Starts a local model server and the chat API, asks it thirty things, ends it with SIGTERM while it
is answering, and proves that the store has every event of every answer. Offline, in some seconds.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from .demo_drive import LAST, Answered, ask_all, ask_while_stopping
from .demo_processes import (
    AppProcess,
    end_in_order_on_sigterm,
    running_app,
    running_model_server,
)
from .demo_proof import Proof, empty_store, prove, say
from .demo_view import UNWATCHED_SECONDS, view

PROMPTS = Path(__file__).with_name("prompts.jsonl")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".demo"),
        help="where the store goes (default: %(default)s)",
    )
    parser.add_argument(
        "--concurrency", type=int, default=6, help="requests at once (default: %(default)s)"
    )
    parser.add_argument(
        "--view",
        action="store_true",
        help="then show it in a browser, with people who go on asking",
    )
    chosen = parser.parse_args(arguments)
    end_in_order_on_sigterm()
    out = Console(highlight=False)
    try:
        store = empty_store(chosen.folder)
        questions = [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]
        with running_model_server() as model_url, running_app(model_url, store) as app:
            out.print(f"[bold]1[/] The chat API runs under uvicorn (pid {app.process.pid}),")
            out.print(f"  {len(questions)} requests, {chosen.concurrency} at once:")
            answered = asyncio.run(_drive(out, app, questions, chosen.concurrency))
            code = app.wait()
            out.print(f"  SIGTERM: the server answered what it had begun, and ended ({code}).\n")
        proof = prove(store, answered)
        out.print("[bold]3[/] What was answered, and what is in the store:")
        say(out, proof)
        _tour(out, store, proof)
        if chosen.view and proof.holds:
            view(out, store, questions, None if out.is_terminal else UNWATCHED_SECONDS)
        else:
            _say_viewer(out, store)
    except KeyboardInterrupt:
        out.print("\ninterrupted; everything that was started is ended")
        return 130
    return 0 if proof.holds else 1


async def _drive(
    out: Console, app: AppProcess, questions: list[dict[str, str]], concurrency: int
) -> list[Answered]:
    answered = await ask_all(out, app.url, questions, concurrency)
    out.print("\n[bold]2[/] SIGTERM to the API while it streams long answers:")
    return answered + await ask_while_stopping(out, app, LAST)


def _tour(out: Console, store: Path, proof: Proof) -> None:
    for words in (
        ["runs", "--limit", "12"],
        ["show", proof.richest],
        ["show", proof.streamed],
        ["cost"],
    ):
        command = [*words, "--store", str(store)]
        out.print(f"[bold]$ {_llmobs()} {' '.join(command)}[/]", soft_wrap=True)
        # Its own process, as you would run it; this one's output must be out before.
        out.file.flush()
        subprocess.run([sys.executable, "-m", "llmobs", *command], check=True)
        out.print()
    out.print("[bold]Now you[/]: a run whole, what failed, everything as a table, what comes in")
    for more in ("show last --full", "runs --failed", "export -o events.csv", "tail"):
        out.print(f"  {_llmobs()} {more} --store {store}", soft_wrap=True)
    out.print("The two lines that did it are in example_apps/fastapi_chat/app.py:")
    out.print("  add_middleware(LLMObsMiddleware) and instrument(AsyncOpenAI())")


def _say_viewer(out: Console, store: Path) -> None:
    out.print("All of it in a browser, at http://127.0.0.1:4318")
    out.print(f"  {_llmobs()} serve --store {store}", soft_wrap=True)


def _llmobs() -> str:
    """The command as it can be typed here: by its path, unless the environment is active."""
    installed = Path(sys.executable).with_name("llmobs")
    if shutil.which("llmobs") == str(installed):
        return "llmobs"
    return os.path.relpath(installed)


if __name__ == "__main__":
    sys.exit(main())
