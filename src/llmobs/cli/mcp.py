"""``llmobs mcp``."""

import sys
from functools import partial

import click

from llmobs.cli.options import open_store, store_option

__all__ = ["mcp"]


@click.command()
@store_option
@click.option("--project", metavar="ID", help="Tell of this project alone. Default: of all.")
def mcp(store: str | None, project: str | None) -> None:
    """
    Let an agent look at what was recorded: the Model Context Protocol on the standard streams.

    Agents start it themselves; it reads, and changes nothing.
    """
    from llmobs.mcp.stdio import speak
    from llmobs.mcp.tools import Tools

    with open_store(store):  # what is wrong with it is said before anything else
        pass
    tools = Tools(partial(open_store, store), project)
    speak(sys.stdin.buffer, sys.stdout.buffer, tools)
