"""``llmobs serve``."""

from importlib.util import find_spec

import click

from llmobs.cli.options import is_json_lines, store_option, store_path
from llmobs.errors import ConfigurationError, MissingExtraError

__all__ = ["serve"]


@click.command()
@store_option
@click.option(
    "--host", default="localhost", show_default=True, metavar="ADDRESS",
    help="Listen there; localhost is 127.0.0.1 and ::1.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=4318, show_default=True, metavar="N",
    help="Listen on this port; 4318 is OTLP's over HTTP. 0: any that is free.",
)  # fmt: skip
def serve(store: str | None, host: str, port: int) -> None:
    """
    Collect what other processes, hosts and languages send, into the store.

    Takes WatchLLM's batches and our own (POST /events/batch), and answers when they are on disk.
    """
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve")
    path = store_path(store)
    if is_json_lines(path):
        raise ConfigurationError(f"--store {path}: the collector writes SQLite, not JSON lines")
    from llmobs.server.command import Options
    from llmobs.server.command import serve as run

    run(Options(store=path, host=host, port=port))
