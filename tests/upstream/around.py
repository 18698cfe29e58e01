"""
A pytest plugin for other projects' suites: every application they serve has the middleware around it.

It stands alone, because their suites have a package ``tests`` of their own. ``LLMOBS_AROUND`` says
how: ``header`` (as users have it) or ``silent`` (``header_name=None``: then nothing may differ).
"""

import importlib
import inspect
import logging
import os
import warnings
from contextlib import suppress
from typing import Any

HOW = os.environ.get("LLMOBS_AROUND", "header")


def around(app: Any) -> Any:
    from llmobs.contrib.asgi import LLMObsMiddleware

    if not _is_asgi3(app):
        return app
    # Every request records something and, without a lifespan, is waited for: the worst case.
    options: dict[str, Any] = {} if HOW == "header" else {"header_name": None}
    return LLMObsMiddleware(app, sink="memory:", record_empty=True, **options)


def _is_asgi3(app: Any) -> bool:
    if inspect.isclass(app) or not callable(app):
        return False
    call = app if inspect.isfunction(app) or inspect.ismethod(app) else app.__call__
    return inspect.iscoroutinefunction(call)


def pytest_configure() -> None:
    # Suites count log records; whether the application logs more is not what is compared.
    logging.getLogger("llmobs").propagate = False
    guard = importlib.import_module("llmobs.runtime.troubles")
    guard.raise_internal_errors(True)  # or an application would be served without us, and pass
    for name, patch in PATCHES.items():
        with suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their suites make errors of them
            patch(importlib.import_module(name))


def _test_client(module: Any) -> None:
    original = module._TestClientTransport.__init__

    def init(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, app, *args, **kwargs)
        # The same for the requests and for the lifespan, which the client runs.
        self.app = around(self.app)

    module._TestClientTransport.__init__ = init
    lifespan = module.TestClient.lifespan

    async def run_lifespan(self: Any) -> Any:
        bare, self.app = self.app, self._transport.app
        try:
            return await lifespan(self)
        finally:
            self.app = bare

    module.TestClient.lifespan = run_lifespan


def _asgi_transport(module: Any) -> None:
    original = module.ASGITransport.__init__

    def init(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, around(app), *args, **kwargs)

    module.ASGITransport.__init__ = init


def _wrapped_by(config: Any) -> Any:
    known = config.__dict__.get("_llmobs")
    if known is None or known[0] is not config.loaded_app:
        known = config._llmobs = (config.loaded_app, around(config.loaded_app))
    return known[1]


def _protocol(name: str) -> Any:
    def patch(module: Any) -> None:
        protocol = getattr(module, name)
        original = protocol.__init__

        def init(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
            original(self, config, *args, **kwargs)
            self.app = _wrapped_by(config)

        protocol.__init__ = init

    return patch


class _Config:
    """A server's configuration, but for its application."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return _wrapped_by(self._config) if name == "loaded_app" else getattr(self._config, name)


def _lifespan(module: Any) -> None:
    original = module.LifespanOn.main

    async def main(self: Any) -> None:
        bare, self.config = self.config, _Config(self.config)
        try:
            await original(self)
        finally:
            self.config = bare

    module.LifespanOn.main = main


PATCHES = {
    "starlette.testclient": _test_client,
    "httpx": _asgi_transport,
    "httpx2": _asgi_transport,
    "uvicorn.lifespan.on": _lifespan,
    "uvicorn.protocols.http.h11_impl": _protocol("H11Protocol"),
    "uvicorn.protocols.http.httptools_impl": _protocol("HttpToolsProtocol"),
    "uvicorn.protocols.http.zttp_impl": _protocol("ZttpProtocol"),
    "uvicorn.protocols.http.zttp_h2_impl": _protocol("ZttpH2Protocol"),
    "uvicorn.protocols.websockets.websockets_impl": _protocol("WebSocketProtocol"),
    "uvicorn.protocols.websockets.websockets_sansio_impl": _protocol("WebSocketsSansIOProtocol"),
    "uvicorn.protocols.websockets.wsproto_impl": _protocol("WSProtocol"),
}
