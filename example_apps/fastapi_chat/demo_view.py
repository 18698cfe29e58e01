"""The viewer, while the users of the demo go on asking."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import httpx2
from rich.console import Console

from .demo_drive import Question, ask
from .demo_processes import running_app, running_model_server, running_viewer

UNWATCHED_SECONDS = 30
"""How long it goes on where nobody could press Ctrl-C."""
PAUSE_SECONDS = (0.3, 2.5)
"""Between two questions, about."""


def view(out: Console, store: Path, questions: Sequence[Question], seconds: float | None) -> None:
    """
    Serve the viewer, and have questions asked until Ctrl-C.

    Args:
        out: Where its address is said.
        store: What it shows, and where the API records.
        questions: Asked in another order each time.
        seconds: How long it goes on; None: until Ctrl-C.
    """
    try:
        with (
            running_model_server() as model,
            running_app(model, store) as app,
            running_viewer(store) as url,
        ):
            end = "Ctrl-C ends it" if seconds is None else f"it ends in {seconds:.0f} seconds"
            out.print(f"\nThe viewer is at [bold]{url}[/], and people go on asking; {end}.")
            out.file.flush()
            asyncio.run(_go_on(app.url, questions, seconds))
    except KeyboardInterrupt:
        pass
    out.print("\nEverything that was started is ended.")


async def _go_on(url: str, questions: Sequence[Question], seconds: float | None) -> None:
    chance = random.Random()
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in itertools.count():
                    group.create_task(ask(client, chance.choice(questions)))
                    await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
        except TimeoutError:
            pass
