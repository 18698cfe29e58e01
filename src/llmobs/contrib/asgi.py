"""
The door for ASGI applications: every request and WebSocket is a run.

Pure ASGI: no framework is imported. The middleware object holds the client; everything about one
connection lives in that connection's own objects.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Unpack

from llmobs.capture.tracker import NO_RECORDER, Tracker, has_any
from llmobs.client.async_client import AsyncClient, Recording
from llmobs.client.sync_client import Client
from llmobs.contrib._asgi.connection import Connection
from llmobs.contrib._asgi.lifespan import in_thread, refuse, run_lifespan
from llmobs.contrib._asgi.protocol import ASGIApp, Message, Receive, Scope, Send, headers_of
from llmobs.contrib._doors import instrument
from llmobs.contrib._web.current import put_back
from llmobs.contrib._web.options import Exclusions, Trust, header_of, switch_of, trust_of
from llmobs.contrib._web.origin import Origin
from llmobs.contrib._web.unattended import FAILED_SECONDS, UnattendedClient
from llmobs.errors import ConfigurationError
from llmobs.pipeline.wakeup import inside_event_loop
from llmobs.recorded.printable import quoted
from llmobs.runtime.context import current_frame, set_frame
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import Troubles, internal_errors
from llmobs.settings import Settings, SettingsKeywords, refuse_unknown

__all__ = [
    "ASGIApp",
    "LLMObsMiddleware",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "run_of",
    "tracker_of",
]

TRACKER_KEY: Final = "llmobs.tracker"
"""Where a connection's scope carries its tracker."""

# Not in the scope: applications may compare a lifespan's scope with what they expect.
_living: ContextVar[Scope | None] = ContextVar("llmobs_lifespan", default=None)

_troubles = Troubles()
_OWN = ("client", "capture", "header_name", "exclude", "record_empty", "trust_run_id")


def _is_lived(scope: Scope) -> bool:
    """Tell whether a middleware of ours outside this one has this lifespan already."""
    lived = _living.get()
    if lived is None or lived is scope:
        return lived is scope
    # A middleware between may have copied the scope, but not the state in it.
    state = scope.get("state")
    return state is not None and state is lived.get("state")


def tracker_of(connection: Any) -> Tracker | None:
    """
    Return the tracker of a request or WebSocket; None if no middleware of ours saw it.

    Args:
        connection: Its ASGI scope, or an object that has it as ``.scope``: Starlette's and
            FastAPI's ``Request``, ``WebSocket`` and ``HTTPConnection``.
    """
    scope = getattr(connection, "scope", connection)
    tracker = scope.get(TRACKER_KEY) if hasattr(scope, "get") else None
    return tracker if isinstance(tracker, Tracker) else None


@contextmanager
def run_of(connection: Any) -> Iterator[Tracker]:
    """
    Make the run of a request the current one: for code that serves it in another one's context.

    A stateful MCP session, for instance, runs every tool in the task of the request that opened
    the session. The block neither begins nor ends the run; the middleware does.

    Args:
        connection: As for :func:`tracker_of`. Without a run (no middleware, an excluded path, no
            request at all) the block's tracker records nothing, and one warning says so.
    """
    tracker = tracker_of(connection)
    if tracker is None:
        warn_of_missing_middleware("run_of()")
        tracker = Tracker(NO_RECORDER)
    previous = current_frame()
    set_frame(tracker)
    try:
        yield tracker
    finally:
        put_back(tracker, previous)


def warn_of_missing_middleware(what: str) -> None:
    """Say once that *what* was used for a connection that has no run."""
    _troubles.log(
        "no-middleware",
        "llmobs: %s was used without the middleware; nothing is recorded. "
        "Add it with: app.add_middleware(LLMObsMiddleware)",
        what,
    )


class LLMObsMiddleware:
    """
    Gives every request and WebSocket a run, and owns the client through the app's lifespan.

    A run gets a new id, which the response header answers. An id that the caller sends (in the
    same header, else in ``x-request-id``, if well-formed) is kept as the run's ``client_run_id``;
    where *trust_run_id* says so, it is the run's id. A W3C ``traceparent`` or an active
    OpenTelemetry span gives the run its trace, never another run's id.

    Args:
        app: The application.
        client: A client you own and close; then no *settings* may be given.
        capture: Record the calls of models that the process makes, whatever SDK it uses: calls
            `llmobs.instrument`, which lasts until `llmobs.uninstrument`. Calls outside any run go
            to *client*, else to the default client.
        header_name: Header that carries the run's id, in both directions. None: no run id is
            read from requests (from ``x-request-id`` neither), and none is sent.
        exclude: Paths that get no run: exact, or a prefix if it ends in ``*``. None for none.
        record_empty: Record a run also if nothing was recorded in it.
        trust_run_id: Whether callers may name the run they belong to: True only where all of them
            are yours, behind your own gateway; or a function that is given the scope and tells.
            Who knows a run's id can then write into it.
        settings: Fields of `llmobs.Settings`, for a client that the middleware owns.

    Raises:
        ConfigurationError: A setting is wrong, or both *client* and *settings* are given. Built
            inside an event loop, as frameworks do, it makes the lifespan's start fail instead.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        client: Recording | None = None,
        capture: bool = False,
        header_name: str | None = "x-run-id",
        exclude: Iterable[str] | None = None,
        record_empty: bool = False,
        trust_run_id: Trust = False,
        **settings: Unpack[SettingsKeywords],
    ) -> None:
        self.app = app
        self._client = client
        self._owned: AsyncClient | None = None
        self._unattended: UnattendedClient | None = None
        self._building = ForkLock()
        self._problem: Exception | None = None
        try:
            header = header_of(header_name)
            self._header = None if header is None else header.encode("ascii")
            self._exclusions = Exclusions(exclude)
            trust = trust_of(trust_run_id, "the scope")
            self._origin = Origin(header, trust, str.encode)
            self._record_empty = switch_of("record_empty", record_empty)
            capture = switch_of("capture", capture)
            self._configure(client, settings)
            if capture:
                instrument(llmobs_client=client)
        except Exception as error:
            # Starlette builds its middleware inside the lifespan call; a server takes an exception
            # there for "knows no lifespan" and goes on. So it is told in the lifespan's own words.
            if not inside_event_loop():
                raise
            self._problem = error

    def _configure(self, client: Recording | None, settings: SettingsKeywords) -> None:
        if client is None:
            refuse_unknown(settings, own=_OWN)
            self._settings = Settings(**settings)
            # Built now, so that a wrong setting stops the deployment and not the first request;
            # but not in an event loop, as sinks look at files: then the lifespan does it.
            if not inside_event_loop():
                self._build()
        elif settings:
            raise ConfigurationError(
                f"LLMObsMiddleware: give either client= or settings ({', '.join(settings)}), not both"
            )
        elif not isinstance(client, Recording):
            raise ConfigurationError(
                f"client: {quoted(client)} is neither an llmobs.Client nor an llmobs.AsyncClient"
            )

    def _build(self) -> AsyncClient:
        with self._building:
            if self._owned is None:
                self._owned = AsyncClient(self._settings)
            return self._owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve one connection, or the lifespan."""
        kind = scope["type"]
        if kind == "http" or kind == "websocket":
            if self._problem is not None:
                # A server without a lifespan: the application serves, unobserved.
                self._say(self._problem)
            elif TRACKER_KEY not in scope and not self._is_excluded(scope):
                return await self._serve(scope, receive, send)
        elif kind == "lifespan" and not _is_lived(scope):
            if self._problem is not None:
                await refuse(self._problem, receive, send)
            if self._client is None:
                outer = _living.get()
                _living.set(scope)
                try:
                    return await self._live(scope, receive, send)
                finally:
                    _living.set(outer)
        return await self.app(scope, receive, send)

    def _is_excluded(self, scope: Scope) -> bool:
        return bool(self._exclusions) and self._exclusions.hold(
            scope.get("path"), scope.get("root_path")
        )

    def _say(self, problem: Exception) -> None:
        _troubles.log(
            "misconfigured", "llmobs: nothing is recorded: %s", problem, level=logging.ERROR
        )

    # One connection.

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> Any:
        try:
            client = self._client or await self._client_without_lifespan()
            tracker = self._open(client, scope)
            connection = Connection(tracker, scope, send, self._header)
        except ConfigurationError as error:
            self._problem = error
            self._say(error)
            return await self.app(scope, receive, send)
        except Exception:
            with internal_errors("open a run for a request"):
                raise
            return await self.app(scope, receive, send)
        previous = current_frame()
        set_frame(tracker)
        try:
            return await self.app(scope, receive, connection.send)
        except BaseException as error:
            connection.error = error
            raise
        finally:
            put_back(tracker, previous)
            always = self._record_empty or connection.failed
            if always or has_any(tracker):
                with internal_errors("record a request"):
                    connection.record(always)
                if (unattended := self._unattended) is not None and self._client is None:
                    with internal_errors("deliver after a request"):
                        failed = connection.error is not None
                        # The client of a socket sees it close only when the server hears of it.
                        most = 0.0 if scope["type"] == "websocket" else FAILED_SECONDS
                        await unattended.drain(failed=failed, most=most)

    def _open(self, client: Recording, scope: Scope) -> Tracker:
        tracker = self._origin.open(client, headers_of(scope), scope["type"], scope)
        scope[TRACKER_KEY] = tracker
        return tracker

    # The client's life.

    async def _client_without_lifespan(self) -> Recording:
        unattended = self._unattended
        if unattended is None:
            _troubles.log(
                "no-lifespan",
                "llmobs: the server runs no lifespan; events are delivered from a thread, "
                "and the request that ended last waits for them",
            )
            unattended = await in_thread(self._build_unattended)
        return unattended.client

    def _build_unattended(self) -> UnattendedClient:
        with self._building:
            if self._unattended is None:
                self._unattended = UnattendedClient(Client(self._settings))
                self._unattended.close_with(self)
            return self._unattended

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> Any:
        try:
            client = self._owned
            if client is None:
                client = await in_thread(self._build)
            await client.__aenter__()
        except Exception as error:  # noqa: BLE001 - raised by `refuse`, once the server was told
            await refuse(error, receive, send)
        self._client = client
        try:
            return await run_lifespan(self.app, client, scope, receive, send)
        finally:
            # Servers go on without a lifespan that failed: later requests start lazily.
            self._client = None
