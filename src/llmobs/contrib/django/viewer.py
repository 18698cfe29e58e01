"""The viewer's pages as views of Django, for its staff or who has a permission, below whatever path they have."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    Http404,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.functional import lazy
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST, require_safe

from llmobs.answers.asked import read_address
from llmobs.answers.errors import AddressError
from llmobs.capture.tracker import Tracker
from llmobs.contrib._web.behind import index_behind, not_taken
from llmobs.contrib._web.behind import rate as store_rating
from llmobs.contrib._web.viewing import leave_out, server_is_ending, store_of
from llmobs.contrib.django.project import NAME, permission_of, project_values, settings_of
from llmobs.errors import ConfigurationError, LLMObsError, SinkUnavailableError, StoreError
from llmobs.store.engine import ReadsStore, open_reader
from llmobs.viewer.feedback import FORM, MAX_BYTES, FormError, fields_of, local_path
from llmobs.viewer.live import live_news
from llmobs.viewer.page import HEADERS, STATIC, Page, Site, static_file, trouble
from llmobs.viewer.pages import Listed, draw
from llmobs.viewer.watching import FULL, RETRY_SECONDS, Watching

__all__ = ["ROOT", "news", "page_view", "rate", "static", "stream"]

ROOT: Final = "overview"
"""Name of the URL that all others are below."""
FOR_EVER: Final = "public, max-age=31536000, immutable"


def page_view(page: Listed) -> Callable[..., HttpResponseBase]:
    """Return the view of one page of the table: sync, so that under ASGI it has a thread."""

    def view(request: Any, **names: str) -> HttpResponseBase:
        _leave_out(request)
        site = _site_of(request, get_token(request))
        try:
            made = draw(page, _opener(), request.GET.dict(), site, project=None, names=names)
        except ConfigurationError as error:
            made = trouble(site, 503, "There is no store to show", str(error))
        else:
            index_behind(_path())
        return _response(made)

    guarded: Callable[..., Any] = require_safe(_guarded(csrf_protect(view)))
    return guarded


def _rate(request: Any) -> HttpResponseBase:
    """Take a thumb, or a comment."""
    _leave_out(request)
    site = _site_of(request)
    try:
        if request.content_type != FORM or len(request.body) > MAX_BYTES:
            status = 415 if request.content_type != FORM else 413
            raise FormError(
                status, f"this takes forms, as {FORM}, of up to {MAX_BYTES:,} bytes", "body"
            )
        form = fields_of(request.body)
        store_rating(_path(), form, None, settings_of(project_values()))
    except RequestDataTooBig as error:
        return _response(not_taken(site, FormError(413, str(error), "body")))
    except (FormError, LLMObsError) as error:
        return _response(not_taken(site, error))
    place = local_path(form.get("next", "")) or f"{site.base}/"
    answer = HttpResponseRedirect(f"{place}#evaluations", headers={"cache-control": "no-store"})
    answer.status_code = 303
    return answer


async def _stream(request: Any) -> HttpResponseBase:
    """Answer with what the live page follows; under WSGI there is none: it asks for `news`."""
    if not _can_stream(request):
        raise Http404
    _leave_out(request)
    try:
        asked, watching = read_address(request.GET.dict()), _watching(_path())
    except (AddressError, ConfigurationError) as error:
        return _text(str(error), 400)
    if not watching.has_room():
        answer = _text(FULL, 503)
        answer["retry-after"] = str(RETRY_SECONDS)
        return answer
    cursor = request.headers.get("last-event-id") or asked.cursor
    return StreamingHttpResponse(
        watching.stream(asked, _site_of(request), cursor),
        content_type="text/event-stream",
        headers={**HEADERS, "x-accel-buffering": "no"},
    )


def _news(request: Any) -> HttpResponseBase:
    """Answer with what is new on the live page since it asked last."""
    _leave_out(request)
    try:
        with _opener()() as store:
            body = live_news(store, read_address(request.GET.dict()), _site_of(request))
    except (AddressError, ConfigurationError) as error:
        return _text(str(error), 400)
    except (StoreError, SinkUnavailableError):
        return _text("The store cannot be read now.", 503)
    return HttpResponse(body, content_type="application/json", headers=HEADERS)


def _static(request: Any, name: str) -> HttpResponseBase:
    """Answer with a file that pages load; there is nothing in it to be kept from anybody."""
    _leave_out(request)
    if name not in STATIC:
        raise Http404
    headers = {**HEADERS, "cache-control": FOR_EVER}
    return HttpResponse(static_file(name), content_type=STATIC[name], headers=headers)


def _permission() -> str | None:
    try:
        return permission_of(project_values())
    except ConfigurationError as error:
        raise ImproperlyConfigured(f"{NAME}: {error}") from None


def _may_see(user: Any) -> bool:
    """
    Whether somebody may: staff, or who has the permission that the project names.

    Raises:
        PermissionDenied: They have logged in, and have it not: another login would ask them for ever.
        ImproperlyConfigured: What the project names is no permission.
    """
    permission = _permission()
    if permission is None:
        return bool(user.is_active and user.is_staff)
    if user.is_authenticated and not user.has_perm(permission):
        raise PermissionDenied
    return bool(user.is_authenticated)


def _login() -> str:
    return "admin:login" if _permission() is None else str(settings.LOGIN_URL)


_guarded: Final[Callable[..., Any]] = user_passes_test(_may_see, login_url=lazy(_login, str)())

rate: Final = require_POST(_guarded(csrf_protect(_rate)))
"""View of what people say of runs."""
stream: Final = require_safe(_guarded(_stream))
"""View of what the live page follows."""
news: Final = require_safe(_guarded(_news))
"""View of what it asks for where it cannot follow."""
static: Final[Callable[..., Any]] = require_safe(_static)
"""View of the files that pages load."""


def _path() -> Path:
    return store_of(None, settings_of(project_values()).sink)


def _opener() -> Callable[[], ReadsStore]:
    return partial(open_reader, _path())


@cache
def _watching(path: Path) -> Watching:
    return Watching(partial(open_reader, path), is_ending=server_is_ending)


def _leave_out(request: Any) -> None:
    tracker = getattr(request, "llmobs", None)
    leave_out(tracker if isinstance(tracker, Tracker) else None)


def _site_of(request: Any, token: str = "") -> Site:
    match = request.resolver_match
    assert match is not None
    base = reverse(f"{match.namespace}:{ROOT}").rstrip("/")
    origin = f"{request.scheme}://{request.get_host()}"
    return Site(
        base,
        origin,
        form_token=token,
        form_field="csrfmiddlewaretoken",
        may_rate=bool(token),
        streams=_can_stream(request),
    )


def _can_stream(request: Any) -> bool:
    return isinstance(request, ASGIRequest)


def _response(page: Page) -> HttpResponse:
    return HttpResponse(page.html.encode(), page.type, page.status, headers=HEADERS)


def _text(words: str, status: int) -> HttpResponse:
    return HttpResponse(words.encode(), "text/plain; charset=utf-8", status, headers=HEADERS)
