"""What ``llmobs serve`` does, once its options are read: listens, serves, and ends in order."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import uvicorn

from llmobs.runtime.paths import check_directory, check_file
from llmobs.server.app import create_app
from llmobs.server.collector import Collector
from llmobs.server.listen import LOOPBACK, listen
from llmobs.server.protocol import Protocol
from llmobs.settings import Settings
from llmobs.store.engine import writer_of

__all__ = ["DEFAULT_PORT", "Options", "serve"]

DEFAULT_PORT: Final = 4318
"""OTLP's own, so that an SDK that speaks OTLP over HTTP finds it unconfigured."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than clients and proxies keep a connection: who closes second never cuts a request off."""
GRACE_SECONDS: Final = 20
"""That requests under way have, when the server is asked to end."""

logger = logging.getLogger("llmobs")


class Options(msgspec.Struct, frozen=True):
    """What the command line says."""

    store: Path
    host: str = LOOPBACK
    port: int = DEFAULT_PORT


def serve(options: Options) -> None:
    """
    Serve until SIGTERM or SIGINT; what was taken by then is stored and answered.

    Raises:
        ConfigurationError: The address is taken, the store's directory cannot be written, or a
            setting of the environment is wrong.
    """
    settings = Settings()
    path = options.store.absolute()
    check_file(path)
    check_directory(path.parent)
    _log_to_stderr()
    sockets = listen(options.host, options.port)
    collector = Collector(writer_of(path, durable=True), settings)
    config = uvicorn.Config(
        create_app(collector),
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,  # type: ignore[arg-type] # it is a number of seconds
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    logger.info("llmobs: listening on %s, storing in %s", _said(sockets), path)
    asyncio.run(server.serve(sockets))


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
