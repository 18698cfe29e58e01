"""The demo: `python -m example_apps.starlette_agent.demo`. Offline, in some seconds."""

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path

import httpx2

from example_apps.fastapi_chat.demo_processes import running_app, running_model_server
from example_apps.fastapi_chat.demo_proof import empty_store

QUESTIONS = [
    "Search the notes for refunds, please.",
    "Look up shipping, then calculate 3 * 19.90 + 4.90, please.",
    "How much is 60 / (5 - 5)?",
    "Tell me in detail about gift cards.",
]


def main(arguments: list[str] | None = None) -> int:
    """Ask the agent four questions, and show what was recorded; 1 if an answer is missing."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where the store goes")
    folder: Path = parser.parse_args(arguments).folder
    store = empty_store(folder, "agent.db")
    application = "example_apps.starlette_agent.app:app"
    with running_model_server() as model, running_app(model, store, application) as app:
        runs = asyncio.run(_ask_all(app.url))
        app.terminate()
        app.wait()
    for words in (["runs"], ["show", runs[1]], ["cost"]):
        command = [*words, "--store", str(store)]
        print(f"$ llmobs {' '.join(command)}", flush=True)
        subprocess.run([sys.executable, "-m", "llmobs", *command], check=True)
    return 0


async def _ask_all(url: str) -> list[str]:
    """Ask everything, print the answers as they come, and return the ids of the runs."""
    runs = []
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        for question in QUESTIONS:
            body = {"question": question, "user": "demo"}
            async with client.stream("POST", "/ask/stream", json=body) as response:
                response.raise_for_status()
                received = b"".join([chunk async for chunk in response.aiter_bytes()])
            pieces = received.count(b"data: ") - 1
            runs.append(response.headers["x-run-id"])
            print(f"{question}\n  answered in {pieces} pieces, run {runs[-1]}")
    return runs


if __name__ == "__main__":
    sys.exit(main())
