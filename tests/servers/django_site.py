"""The Django project that the real servers serve: every way to record, each record noted in the ledger."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.support.ledger import COST, Ledger

# The settings, and the URLs: one module is enough of a project.
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
DEBUG = False
ROOT_URLCONF = "tests.servers.django_site"
INSTALLED_APPS = [*json.loads(os.environ.get("TEST_APPS", "[]")), "llmobs.contrib.django"]
MIDDLEWARE = ["llmobs.contrib.django.LLMObsMiddleware"]
LLMOBS = {"PROJECT_ID": "servers"}  # the rest from the environment
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
USE_TZ = True

ledger = Ledger(os.environ["TEST_LEDGER"]) if "TEST_LEDGER" in os.environ else None


def log(request: HttpRequest, prompt: str) -> None:
    assert ledger is not None
    ledger.note(request.llmobs.log_prompt_call(prompt, "gpt-4o", "yes", 3, 4, 12.5, **COST))


def in_a_thread(request: HttpRequest) -> HttpResponse:
    log(request, "sync")
    return HttpResponse(os.getpid())


async def in_the_loop(request: HttpRequest) -> HttpResponse:
    log(request, "async")
    return HttpResponse(os.getpid())


def _how(request: HttpRequest) -> tuple[int, float]:
    return int(request.GET.get("chunks", 3)), float(request.GET.get("pause", 0))


async def streamed(request: HttpRequest) -> StreamingHttpResponse:
    chunks, pause = _how(request)

    async def body() -> AsyncIterator[str]:
        for number in range(chunks):
            log(request, f"chunk {number}")
            yield "chunk\n"
            await asyncio.sleep(pause)
        log(request, "end of stream")

    return StreamingHttpResponse(body())


def streamed_in_a_thread(request: HttpRequest) -> StreamingHttpResponse:
    chunks, pause = _how(request)

    def body() -> Iterator[str]:
        for number in range(chunks):
            log(request, f"chunk {number}")
            yield "chunk\n"
            time.sleep(pause)
        log(request, "end of stream")

    return StreamingHttpResponse(body())


urlpatterns = [
    path("async", in_the_loop),
    path("sync", in_a_thread),
    path("stream", streamed),
    path("sync-stream", streamed_in_a_thread),
]
