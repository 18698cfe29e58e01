"""Reads tickets, sorts and answers them, a few at a time; each ticket is a run."""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import llmobs
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.contrib.openai import instrument, uninstrument

from . import chains

TICKETS = Path(__file__).with_name("tickets.jsonl")

Ticket = dict[str, str]


class Worker:
    """
    Handles tickets.

    Args:
        client: Records what happens.
        model: Answers the tickets; a smaller one sorts them.
    """

    def __init__(self, client: llmobs.Client, model: str = "gpt-4o") -> None:
        self._client = client
        self._sorter = chains.sorter("gpt-4o-mini")
        self._answerer = chains.answerer(model)
        # One handler for all; what happens inside a run belongs to it.
        self._config: Any = {"callbacks": [LLMObsCallbackHandler(client)]}

    async def handle(self, ticket: Ticket) -> str:
        """Sort and answer one ticket. A ticket that fails leaves a failed run; the next may work."""
        with self._client.run(
            name="ticket", user_id=ticket["customer"], metadata={"ticket": ticket["id"]}
        ) as run:
            topic = await self._sorter.ainvoke({"text": ticket["text"]}, config=self._config)
            run.tags = ("order",) if "order" in ticket["text"].lower() else ("other",)
            asked = {"messages": [("user", ticket["text"])]}
            pieces = []
            stream = self._answerer.astream(asked, config=self._config, stream_mode="messages")
            async for message, about in stream:
                if about.get("langgraph_node") == "model" and message.text:
                    pieces.append(message.text)
            answer = "".join(pieces)
            if not answer:
                run.log_assertion_failed("ticket_is_answered", expected="an answer", actual=topic)
            return answer

    async def handle_all(self, tickets: list[Ticket], at_once: int) -> list[str | Exception]:
        """Handle all of *tickets*; what failed is returned in its place."""
        places = asyncio.Semaphore(at_once)

        async def handle(ticket: Ticket) -> str | Exception:
            async with places:
                try:
                    return await self.handle(ticket)
                except Exception as error:  # noqa: BLE001 - one bad ticket must not stop the others
                    return error

        return await asyncio.gather(*map(handle, tickets))


def main(arguments: list[str] | None = None) -> int:
    """Handle the tickets of a file; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="langchain_worker", description=__doc__)
    parser.add_argument("tickets", type=Path, nargs="?", default=TICKETS)
    parser.add_argument("--at-once", type=int, default=3)
    chosen = parser.parse_args(arguments)
    tickets = [json.loads(line) for line in chosen.tickets.read_text("utf-8").splitlines()]
    # The transport knows what LangChain does not hand on: request ids, retries, HTTP statuses.
    instrument(include_usage=True)
    try:
        with llmobs.Client(service_name="ticket-worker") as client:
            answers = asyncio.run(Worker(client).handle_all(tickets, chosen.at_once))
            report = client.flush()
    finally:
        uninstrument()
    for ticket, answer in zip(tickets, answers, strict=True):
        state = f"failed: {answer}" if isinstance(answer, Exception) else answer
        print(f"{ticket['id']}  {state[:90]}")
    print(f"{report.delivered} events delivered, {report.pending} pending; see: llmobs runs")
    return int(any(isinstance(answer, Exception) for answer in answers))
