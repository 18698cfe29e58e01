"""What ``llmobs serve`` does, once its options are read: listens, serves, and ends in order."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import uvicorn
from prometheus_client import disable_created_metrics
from starlette.middleware import Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from llmobs.contrib._web.hosts import Hosts
from llmobs.errors import ConfigurationError
from llmobs.runtime.paths import check_directory, check_file
from llmobs.server import api, evaluations, feedback, health, login, mcp, otlp, pages
from llmobs.server.access_log import AccessLog, Form, log_to_stdout
from llmobs.server.admission import Admission
from llmobs.server.app import create_app
from llmobs.server.batches import answers_itself
from llmobs.server.collector import Collector
from llmobs.server.gate import Gate
from llmobs.server.keys import KeyFile, Keys
from llmobs.server.listen import LOOPBACK, listen
from llmobs.server.metrics import Metrics
from llmobs.server.origins import Origins
from llmobs.server.outsiders import networks_of, who_else_comes
from llmobs.server.protocol import Protocol
from llmobs.server.retention import Retention
from llmobs.server.texts import Indexing
from llmobs.server.workers import processors
from llmobs.settings import Settings
from llmobs.sinks import safe_url
from llmobs.store.engine import open_reader, writer_of

if TYPE_CHECKING:
    from llmobs.server.kafka.intake import KafkaIntake

__all__ = ["DEFAULT_PORT", "Options", "serve"]

DEFAULT_PORT: Final = 4318
"""OTLP's own, so that an SDK that speaks OTLP over HTTP finds it unconfigured."""
PATIENCE_SECONDS: Final = 2.0
"""To wait for another process that writes: then senders are told, and come again."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than clients and proxies keep a connection: who closes second never cuts a request off."""
MOST_WORKERS: Final = 3
"""By default: one process writes, and more than these it cannot keep up with."""
GRACE_SECONDS: Final = 20
"""That requests under way have, when the server is asked to end."""

logger = logging.getLogger("llmobs")


class Options(msgspec.Struct, frozen=True):
    """What the command line says."""

    store: Path
    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    kafka: tuple[str, ...] = ()
    """Topics to read; see `llmobs.server.kafka.source.KafkaSource.from_url`."""
    insecure: bool = False
    """Nobody needs a key."""
    allow_hosts: tuple[str, ...] = ()
    """Names it answers to, beside addresses and localhost."""
    allow_origins: tuple[str, ...] = ()
    """Other origins whose pages may send evaluations."""
    trust_proxies: tuple[str, ...] = ()
    """Addresses and networks whose word is taken for who asks."""
    rate: float | None = None
    """Requests a second, of each key or address; None: any number."""
    access_log: Form = "text"
    retain: timedelta | None = None
    """How long runs are kept after they ended; None: for ever."""
    max_bytes: int | None = None
    """How large the store may become; None: as large as it likes."""
    workers: int | None = None
    """Processes that may read and redact beside it, under load; None: as there are processors for."""


def serve(options: Options) -> None:
    """
    Serve until SIGTERM or SIGINT; what was taken by then is stored and answered.

    Raises:
        ConfigurationError: The address is taken, the store's directory cannot be written, a setting
            of the environment is wrong, or others could come in without a key.
        StoreError: The file of the keys is damaged.
    """
    settings = Settings()
    path = options.store.absolute()
    check_file(path)
    check_directory(path.parent)
    keys = Keys(KeyFile(path))
    hosts = Hosts(options.allow_hosts)
    origins = Origins(options.allow_origins)
    proxies = networks_of(options.trust_proxies)
    workers = min(processors() - 1, MOST_WORKERS) if options.workers is None else options.workers
    open_store = writer_of(path, durable=True, patience=PATIENCE_SECONDS)
    # What is loaded stays: nobody waits for a collection of garbage that goes through it.
    collector = Collector(open_store, settings, workers=workers, when_loaded=gc.freeze)
    disable_created_metrics()  # type: ignore[no-untyped-call] # else each counter has another series, of when it began
    intakes = _intakes(options, collector)
    indexing = Indexing(path, is_busy=lambda: collector.is_busy)
    metrics = Metrics(
        collector, partial(open_reader, path), intakes, waiting=lambda: indexing.waiting
    )
    retention = Retention(collector.upkeep, retain=options.retain, max_bytes=options.max_bytes)
    sockets = listen(options.host, options.port)
    others = who_else_comes(sockets, hosts, proxies)
    if others and not options.insecure and not len(keys):
        for one in sockets:
            one.close()
        raise ConfigurationError(
            f"{others}, and there is no key yet: make one with llmobs keys add --project ID --store {path}, "
            "or say --insecure to take from anybody and show everything to anybody"
        )
    middleware = [Middleware(AccessLog, form=options.access_log, requests=metrics.requests)]
    if proxies:
        middleware.append(Middleware(ProxyHeadersMiddleware, trusted_hosts=proxies))
    admission = Admission(
        keys, needs_key=bool(others), is_insecure=options.insecure, rate=options.rate
    )
    middleware.append(
        Middleware(
            Gate, admission=admission, hosts=hosts, origins=origins,
            count=metrics.requests.refuse, answers_itself=answers_itself, answer=otlp.refused,
        )
    )  # fmt: skip
    app = create_app(
        collector,
        routes=[
            *health.routes(collector.check, lambda: server.should_exit),
            *metrics.routes(),
            *api.routes(path),
            *mcp.routes(path),
            *evaluations.routes(collector, partial(open_reader, path)),
            *feedback.routes(collector, partial(open_reader, path)),
            *login.routes(admission, metrics.requests.refuse),
            *pages.routes(path, keys=keys, is_ending=lambda: server.should_exit),
        ],
        middleware=middleware,
        tasks=[retention.run, indexing.run, *(intake.run for intake in intakes)],
    )
    _log_to_stderr()
    if options.access_log != "off":
        log_to_stdout()
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,  # whom to believe is said by --trust-proxy
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,  # type: ignore[arg-type] # it is a number of seconds
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    logger.info("llmobs: listening on %s, storing in %s", _said(sockets), path)
    asyncio.run(server.serve(sockets))


def _intakes(options: Options, collector: Collector) -> "list[KafkaIntake]":
    if not options.kafka:
        return []
    from llmobs.server.kafka.source import KafkaSource

    sources = []
    for url in options.kafka:
        try:
            sources.append(KafkaSource.from_url(url))
        # urlsplit raises ValueErrors for bad brackets
        except ValueError as error:
            raise ConfigurationError(f"--kafka {safe_url(url)}: {error}") from None
    # Only now: the source says by which extra aiokafka comes; and it takes 0.2 s to import.
    from llmobs.server.kafka.intake import KafkaIntake

    return [KafkaIntake(collector, source) for source in sources]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """End with 0 when asked to: uvicorn would raise the signal again, and die of it."""
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _said(sockets: Sequence[socket.socket]) -> str:
    addresses = []
    for one in sockets:
        host, port = one.getsockname()[:2]
        addresses.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return " and ".join(addresses)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
