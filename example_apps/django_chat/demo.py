"""The demo: `python -m example_apps.django_chat.demo`.

Starts a local model server and the site under uvicorn; asks the site things, ends it with SIGTERM while
it streams; lets a Celery worker do what the site sent it, and ends that too; and proves that the store
has every event of every answer and of every task. Offline and without a broker, in half a minute.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from example_apps.fastapi_chat.demo_drive import Answered, ask_all, ask_while_stopping
from example_apps.fastapi_chat.demo_processes import (
    ROOT,
    STOP_SECONDS,
    AppProcess,
    end_in_order_on_sigterm,
    environment_of,
    running,
    running_app,
    running_model_server,
)
from example_apps.fastapi_chat.demo_proof import empty_store, prove, say
from llmobs.store.reader import Reader

QUESTIONS = [
    {"path": path, "user": user, "message": message}
    for path in ("/chat", "/chat/stream", "/api/conversations")
    for user, message in (
        ("ada", "Our checkout page got slower after the last release. Where should I look?"),
        ("bilal", "Explain optimistic locking to a junior developer."),
        ("chen", "Which HTTP status fits a request that conflicts with the current state?"),
    )
] + [
    {"path": "/chat", "user": "dora", "message": "Hello?", "model": "gpt-4o-mini-fail-429-once"},
    {"path": "/chat", "user": "emil", "message": "Is anyone there?", "model": "gpt-4o-fail-500"},
]
LAST = [
    {"path": "/chat/stream", "message": f"Write a long, detailed essay about {subject}."}
    for subject in ("tides", "typesetting", "glass", "bridges")
] + [
    {"path": "/chat", "message": "Tell me a long story about a clockmaker."},
    {"path": "/api/conversations", "message": "Tell me a long story about a lighthouse."},
]
"""What is asked just before the site is told to stop."""

MANAGE = "example_apps.django_chat.manage"
WORKER = (
    *("--app", "example_apps.django_chat.celery", "worker", "--concurrency", "1"),
    *("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".demo"),
        help="where the site's files go (default: %(default)s)",
    )
    folder: Path = parser.parse_args(arguments).folder.absolute()
    end_in_order_on_sigterm()
    out = Console(highlight=False)
    try:
        return 0 if _run(out, folder) else 1
    except KeyboardInterrupt:
        out.print("\ninterrupted; everything that was started is ended")
        return 130


def _run(out: Console, folder: Path) -> bool:
    store, site = empty_store(folder, "django.db"), empty_store(folder, "site.sqlite3")
    for queue in ("queue", "queue-control"):
        shutil.rmtree(folder / queue, ignore_errors=True)
    where = {"DJANGO_CHAT_FOLDER": str(folder)}
    with running_model_server() as model:
        environment = {**environment_of(model), **where}
        _manage(environment, "migrate", "--verbosity", "0")
        asgi = "example_apps.django_chat.asgi:application"
        log = folder / "worker.log"
        with running_app(model, store, asgi, **where) as app:
            out.print(f"[bold]1[/] The site runs under uvicorn (pid {app.process.pid}),")
            out.print(f"  {len(QUESTIONS)} requests, 3 at once:")
            answered = asyncio.run(_drive(out, app))
            out.print(
                f"  SIGTERM: the site answered what it had begun, and ended ({app.wait()}).\n"
            )
        # Now, and not beside the site: Celery's folder must not be read while it is written to.
        with running("celery", *WORKER, environment=environment, log=log) as worker:
            out.print(f"[bold]3[/] A Celery worker (pid {worker.pid}) does what the site sent it;")
            sent = _wait_for_titles(site, worker)
            worker.send_signal(signal.SIGTERM)
            code = worker.wait(STOP_SECONDS)
            out.print(f"  it found {sent} titles; SIGTERM: it ended ({code}).\n")
        out.print("[bold]4[/] A command that calls the model: [bold]$ manage.py digest[/]")
        out.file.flush()
        _manage(environment, "digest", "--last", "5")
        tasks, commands = _beside_requests(store, answered)
        proof = prove(store, [*answered, *tasks, *commands])
        if len(tasks) != sent or len(commands) != 1:
            proof.lost.append(f"{sent - len(tasks)} tasks, {1 - len(commands)} commands")
        out.print("\n[bold]5[/] What was answered or done, and what is in the store:")
        out.print(f"  tasks sent               {sent:>5}")
        out.print(f"  as children of requests  {len(tasks):>5}")
        say(out, proof)
        _tour(out, environment, proof.streamed, tasks[0].run_id or "last")
    return proof.holds


async def _drive(out: Console, app: AppProcess) -> list[Answered]:
    answered = await ask_all(out, app.url, QUESTIONS, 3)
    out.print("\n[bold]2[/] SIGTERM to the site while it streams long answers:")
    return answered + await ask_while_stopping(out, app, LAST)


def _wait_for_titles(site: Path, worker: subprocess.Popen[bytes]) -> int:
    """Wait until the worker has done what it was sent, and return how much that is."""
    deadline = time.monotonic() + 60
    connection = sqlite3.connect(site)
    try:
        while True:
            query = "SELECT count(*), sum(title = '') FROM django_chat_conversation"
            kept, untitled = connection.execute(query).fetchone()
            if not untitled:
                return int(kept)
            if worker.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the worker left {untitled} of {kept} tasks; see worker.log")
            time.sleep(0.1)
    finally:
        connection.close()


def _beside_requests(
    store: Path, answered: list[Answered]
) -> tuple[list[Answered], list[Answered]]:
    """Return the runs of the tasks that answered requests sent, and those of the command."""
    parents = {one.run_id for one in answered}
    with Reader(store) as reader:
        runs = reader.runs(1000)
    tasks = [run for run in runs if run.name == "find_title" and run.parent_run_id in parents]
    commands = [run for run in runs if run.name == "manage.py digest" and run.calls == 1]
    return (
        [Answered("task", run.run_id) for run in tasks],
        [Answered("command", run.run_id) for run in commands],
    )


def _tour(out: Console, environment: dict[str, str], streamed: str, task: str) -> None:
    for words in (
        ["runs", "--limit", "24"],
        ["show", streamed],
        ["show", task],
        ["cost"],
    ):
        out.print(f"[bold]$ manage.py llmobs {' '.join(words)}[/]", soft_wrap=True)
        out.file.flush()  # before what the command's own process says
        _manage(environment, "llmobs", *words)
        out.print()
    folder = os.path.relpath(environment["DJANGO_CHAT_FOLDER"])
    out.print("[bold]Now you[/]: the verbs of llmobs, on the site's settings")
    out.print(f"  export DJANGO_CHAT_FOLDER={folder}", soft_wrap=True)
    out.print(f"  python -m {MANAGE} llmobs show last --full", soft_wrap=True)
    out.print("What did it: the middleware and LLMOBS in example_apps/django_chat/settings.py,")
    out.print("  instrument(OpenAI()) in assistant.py, instrument() in celery.py")


def _manage(environment: dict[str, str], *words: str) -> None:
    subprocess.run([sys.executable, "-m", MANAGE, *words], cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
