"""The site that the tests of Django's door ask, and its settings."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

SETTINGS: dict[str, Any] = {
    "DEBUG": False,
    "SECRET_KEY": "only for tests",
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": "tests.contrib.django.site",
    "USE_TZ": True,
    "STATIC_URL": "static/",
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    "INSTALLED_APPS": [
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "llmobs.contrib.django",
    ],
    "MIDDLEWARE": ["llmobs.contrib.django.LLMObsMiddleware"],
    "LLMOBS": {"SINK": "memory:"},
    "LOGGING_CONFIG": None,
}


def configure() -> None:
    """Set Django up once in this process."""
    import django

    if not settings.configured:
        settings.configure(**SETTINGS)
        django.setup()


def log(prompt: str = "q") -> str:
    from llmobs import current_tracker

    return current_tracker().log_prompt_call(prompt, "gpt-4o", "a", 1, 2)


def chat(request: HttpRequest, pk: int = 0) -> HttpResponse:
    log()
    return HttpResponse(request.llmobs.run_id)


async def achat(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    log()
    return HttpResponse(request.llmobs.run_id)


def quiet(request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing recorded")


def threads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.get_ident())


async def athreads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.get_ident())


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        for number in range(3):
            log(f"chunk {number}")
            yield f"{number}\n"

    return StreamingHttpResponse(body())


def operation(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        with request.llmobs.agent_step("answer", "thought", input_data="q"):
            yield "one"
            log("inside")
            yield "two"
        log("outside")

    return StreamingHttpResponse(body())


async def astream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        for number in range(3):
            log(f"chunk {number}")
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingHttpResponse(body())


async def acleans(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        try:
            while True:
                log()
                yield "a chunk"
        finally:
            await asyncio.sleep(0.01)
            log("cleaning up")

    return StreamingHttpResponse(body())


def breaks(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        log()
        yield "one"
        raise ValueError("in the middle of the stream")

    return StreamingHttpResponse(body())


async def abreaks(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        log()
        yield "one"
        raise ValueError("in the middle of the stream")

    return StreamingHttpResponse(body())


def file(request: HttpRequest) -> FileResponse:
    log()
    return FileResponse(io.BytesIO(b"x" * 10_000), filename="x.bin")


def fails(request: HttpRequest) -> HttpResponse:
    log()
    raise ValueError("on purpose")


async def afails(request: HttpRequest) -> HttpResponse:
    log()
    raise ValueError("on purpose")


def missing(request: HttpRequest) -> HttpResponse:
    log()
    raise Http404


def denied(request: HttpRequest) -> HttpResponse:
    log()
    raise PermissionDenied


async def from_threads(request: HttpRequest) -> HttpResponse:
    from asgiref.sync import async_to_sync, sync_to_async

    async def inner() -> None:
        log("back in a loop")

    def in_thread() -> None:
        log("in a thread")
        async_to_sync(inner)()

    await sync_to_async(in_thread)()
    return HttpResponse(request.llmobs.run_id)


shop = (
    [path("item/<int:pk>/", chat, name="item"), re_path(r"^old/(?P<slug>\w+)$", missing)],
    "shop",
)
urlpatterns = [
    path("", chat),
    path("shop/", include(shop, namespace="store")),
    *(
        path(f"{view.__name__}/", view)
        for view in (
            chat, achat, quiet, threads, athreads, stream, astream, acleans, operation, breaks, abreaks, file,
            fails, afails, missing, denied, from_threads,
        )
    ),
]  # fmt: skip
