"""
Record what goes over the Model Context Protocol: tools, resources and prompts, asked for and served.

::

    from llmobs.contrib import mcp

    mcp.instrument()

A client's request is a tool call of the run that makes it. A server's is one of the HTTP request that brought it,
where `llmobs.contrib.asgi` gave that a run; else a run of its own, in the trace that the caller named in ``_meta``
(SEP-414). Clients of version 1 and 2 of the ``mcp`` package are recorded, servers of version 2, which have a place
for it (``Server.middleware``).
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final
from weakref import WeakSet

from llmobs.client.async_client import Recording
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._importing import Imports
from llmobs.contrib._mcp.client import sending
from llmobs.contrib._mcp.server import Serving
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.call import CaptureContent

__all__ = ["instrument", "uninstrument"]

_patches: Final = Patches()
_imports: Final = Imports()
_served: Final[WeakSet[Any]] = WeakSet()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record what clients and servers of the ``mcp`` package do; twice is harmless, the last options hold.

    Wraps ``send_request`` of the client's session, which has no hook, and ``Server.__init__``.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``mcp`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("mcp", llmobs_client, capture_content)
    session = import_module("mcp.client.session").ClientSession
    uninstrument()
    [owner] = [kind for kind in session.__mro__ if "send_request" in vars(kind)][:1]
    _patches.around(owner, "send_request", partial(sending, work))
    _imports.when("mcp.server.lowlevel.server", lambda module: _serve(module, work, llmobs_client))


def uninstrument() -> None:
    """Undo :func:`instrument`, of servers that are running, too."""
    _imports.forget()
    _patches.undo()
    for server in _served:
        server.middleware[:] = [each for each in server.middleware if type(each) is not Serving]
    _served.clear()


def _serve(module: ModuleType, work: OpenWork, client: Recording | None) -> None:
    def add_middleware(server: Any) -> None:
        if hasattr(server, "middleware"):  # not in version 1
            server.middleware.insert(0, Serving(work, client))
            _served.add(server)

    _patches.every((module.Server,), add_middleware, "record what a server of MCP does")
