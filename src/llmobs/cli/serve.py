"""``llmobs serve``."""

from datetime import timedelta
from importlib.util import find_spec
from typing import Literal

import click

from llmobs.cli.options import as_age, as_bytes, as_rate, is_json_lines, store_option, store_path
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
@click.option(
    "--kafka", multiple=True, envvar="LLMOBS_KAFKA", metavar="BROKERS?topic=…&group=…",
    help="Read LLM Sentinel's and llmobs' events from Kafka, too; options as in a Kafka sink's URL. Repeatable.",
)  # fmt: skip
@click.option(
    "--insecure", is_flag=True, help="Let anybody in without a key, wherever they come from."
)
@click.option(
    "--allow-host", multiple=True, metavar="NAME",
    help="Answer to this name, too; *.example.com for all below it. Addresses and localhost always are.",
)  # fmt: skip
@click.option(
    "--allow-origin", multiple=True, metavar="ORIGIN",
    help="Let pages of this origin, https://shop.example, send evaluations, with a key for these alone. Repeatable.",
)  # fmt: skip
@click.option(
    "--trust-proxy", multiple=True, metavar="ADDRESS",
    help="Take this proxy's word (X-Forwarded-For) for who asks: its address, or its network.",
)  # fmt: skip
@click.option(
    "--rate-limit", metavar="RATE", callback=as_rate,
    help="Requests of each key, or of each address without one: 100/s, 600/m. Default: any number.",
)  # fmt: skip
@click.option(
    "--access-log", type=click.Choice(["text", "json", "off"]), default="text", show_default=True,
    help="A line for each request, on standard output; nothing of what it said.",
)  # fmt: skip
@click.option(
    "--retain", metavar="TIME", callback=as_age,
    help="Remove runs that ended so long ago: 30d, 12h, 8w. Default: never.",
)  # fmt: skip
@click.option(
    "--max-size", metavar="SIZE", callback=as_bytes,
    help="Remove the oldest runs while the store is larger: 20GB. Default: never.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(0, 64), metavar="N",
    help="Processes that read and redact beside it, under load. Default: one for each further processor, at most 3.",
)  # fmt: skip
def serve(
    store: str | None,
    host: str,
    port: int,
    kafka: tuple[str, ...],
    insecure: bool,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    trust_proxy: tuple[str, ...],
    rate_limit: float | None,
    access_log: Literal["text", "json", "off"],
    retain: timedelta | None,
    max_size: int | None,
    workers: int | None,
) -> None:
    """
    Collect what other processes, hosts and languages send, into the store.

    Takes WatchLLM's batches and our own (POST /events/batch), and answers when they are on disk.
    """
    for package in ("starlette", "uvicorn", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve")
    path = store_path(store)
    if is_json_lines(path):
        raise ConfigurationError(f"--store {path}: the collector writes SQLite, not JSON lines")
    from llmobs.server.command import Options
    from llmobs.server.command import serve as run

    run(
        Options(
            store=path, host=host, port=port, kafka=kafka, insecure=insecure, allow_hosts=allow_host,
            allow_origins=allow_origin, trust_proxies=trust_proxy, rate=rate_limit,
            access_log=access_log, retain=retain, max_bytes=max_size, workers=workers,
        )
    )  # fmt: skip
