"""The application for ASGI servers: delivers what was recorded before the server ends."""

import io
from collections.abc import Callable
from typing import Any

from django.core.asgi import get_asgi_application as django_application
from django.core.handlers.asgi import ASGIRequest

from llmobs.client.sync_client import Client
from llmobs.contrib._asgi.lifespan import in_thread, refuse, run_lifespan
from llmobs.contrib._asgi.protocol import ASGIApp, Receive, Scope, Send
from llmobs.contrib._web.options import Trust
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.contrib.django.project import Project, current_project
from llmobs.runtime.troubles import Troubles, internal_errors

__all__ = ["get_asgi_application", "observe"]

_troubles = Troubles()


def get_asgi_application() -> ASGIApp:
    """Return Django's ASGI application, with the lifespan that Django has not: the client's life."""
    return observe(django_application())


def observe(application: ASGIApp) -> ASGIApp:
    """
    Return *application* with the client's life around it, and a run for each WebSocket.

    For applications that Django's own is a part of, as with Channels::

        application = observe(ProtocolTypeRouter({"http": get_asgi_application(), "websocket": ...}))

    Args:
        application: The ASGI application.
    """
    return application if isinstance(application, _Observed) else _Observed(application)


def _trust_of_scopes(trust: Trust) -> Trust:
    """Let a function of the project's, which knows Django's requests, look at a WebSocket."""
    if isinstance(trust, bool):
        return trust
    ask: Callable[[Any], bool] = trust
    # Its handshake is a GET without a body; what is wrong with it, `Origin` says.
    return lambda scope: ask(ASGIRequest({**scope, "method": "GET"}, io.BytesIO()))


class _Owned:
    """The project's client as what a lifespan enters and leaves."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __aexit__(self, *error: object) -> None:
        await in_thread(self._client.close)


class _Observed:
    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._websockets: tuple[Project, ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        application = self._application
        if scope["type"] == "websocket":
            application = self._with_runs(current_project())
        failed = True
        try:
            result = await application(scope, receive, send)
            failed = False
            return result
        finally:
            with internal_errors("deliver after a request"):
                await _deliver(failed)

    def _with_runs(self, project: Project) -> ASGIApp:
        options = project.options
        known = self._websockets
        if known is None or known[0] is not project:
            known = self._websockets = (
                project,
                LLMObsMiddleware(
                    self._application,
                    client=project.client,
                    header_name=options.header,
                    exclude=options.exclude,
                    record_empty=options.record_empty,
                    trust_run_id=_trust_of_scopes(options.trust),
                ),
            )
        return known[1]

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> Any:
        project = await in_thread(current_project)
        if project.problem is not None:
            await refuse(project.problem, receive, send)
        project.client.__enter__()  # it may have been closed, by a lifespan before
        project.has_lifespan = True
        try:
            return await run_lifespan(
                self._application, _Owned(project.client), scope, receive, send
            )
        finally:
            project.has_lifespan = False


async def _deliver(failed: bool) -> None:
    project = current_project()
    if project.has_lifespan or not project.client.enabled:
        return
    _troubles.log(
        "no-lifespan",
        "llmobs: the server runs no lifespan; events are delivered from a thread, "
        "and the request that ended last waits for them",
    )
    await project.unattended.drain(failed=failed)
