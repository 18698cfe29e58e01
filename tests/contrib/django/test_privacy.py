"""Nothing of a request to a Django project comes out: canaries in its path, query, headers and exceptions."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings

from llmobs.contrib.django import LLMObsMiddleware
from llmobs.contrib.django.project import project_client
from tests.privacy.canaries import canaries, every_canary
from tests.privacy.net import casting
from tests.privacy.test_matrix import leaks

NAMES = (
    "x-run-id",
    "x-request-id",
    "traceparent",
    "user-agent",
    "cookie",
    "authorization",
    "referer",
)


def view(request: HttpRequest) -> HttpResponse:
    request.llmobs.log_error("noted")  # type: ignore[attr-defined]
    if "fail" in request.path:
        raise ValueError(every_canary(0)) from KeyError(every_canary(0))
    return HttpResponse(every_canary(0))


async def aview(request: HttpRequest) -> HttpResponse:
    return view(request)


@pytest.mark.parametrize("trusts", [True, False])
def test_nothing_of_a_request_comes_out(trusts: bool, tmp_path: Path) -> None:
    text = every_canary(0)
    values = [*canaries(0).values(), text]
    with casting(tmp_path) as (net, _):
        settings = {"SINK": net.sinks(), "TRUST_RUN_ID": trusts, "SPOOL_DIR": tmp_path / "spool"}
        with override_settings(LLMOBS=settings):
            for value in values:
                for path in (f"/{value}", f"/fail/{value}"):
                    headers = dict.fromkeys(NAMES, value)
                    sync = RequestFactory(headers=headers).post(f"{path}?q={value}", {value: value})
                    later = AsyncRequestFactory(headers=headers).get(f"{path}?q={value}")
                    for serve in (
                        lambda request=sync: LLMObsMiddleware(view)(request),
                        lambda request=later: asyncio.run(LLMObsMiddleware(aview)(request)),
                    ):
                        with suppress(ValueError):
                            serve().close()
            client = project_client()
            client.flush(20)
            assert client.statistics().accepted >= 4 * len(values)
    assert leaks(net, {0: "a request"}) == []
