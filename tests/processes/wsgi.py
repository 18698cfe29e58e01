"""A WSGI application that records before it is forked (`--preload`) and in every request."""

from collections.abc import Callable, Iterable
from typing import Any

from tests.processes.programs import log

log(10)  # starts the client's thread in the master


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    log(10)
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"ok"]
