"""Django's middleware: one run per request, sync and async, from the first middleware to the last byte."""

import asyncio
import gc
import io
import logging
import pickle
import threading
from typing import Any

import httpx2
import pytest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings

import llmobs
from llmobs import current_run
from llmobs.contrib.django import LLMObsMiddleware, middleware
from llmobs.contrib.httpx import is_instrumented
from llmobs.events import AgentStepEvent, PromptCallEvent, RunEvent, Status
from llmobs.runtime.troubles import Troubles
from llmobs.testing import CapturedEvents
from tests.contrib.django import site, users
from tests.helpers import llmobs_threads

OURS = "llmobs.contrib.django.LLMObsMiddleware"
LLMOBS = {"SINK": "memory:"}


def the_run(events: CapturedEvents) -> RunEvent:
    (run,) = events.of(RunEvent)
    return run


def get(path: str, **headers: str) -> Any:
    return Client(raise_request_exception=False).get(path, headers=headers)


def aget(path: str, **headers: str) -> Any:
    async def ask() -> Any:
        return await AsyncClient(raise_request_exception=False).get(path, headers=headers)

    return asyncio.run(ask())


both = pytest.mark.parametrize("ask", [get, aget])


# A run.


@both
def test_a_request_is_a_run(ask: Any, llmobs_events: CapturedEvents) -> None:
    answer = ask("/shop/item/3/")
    run = the_run(llmobs_events)
    assert answer.content.decode() == answer.headers["x-run-id"] == run.run_id
    assert (run.kind, run.method, run.http_status, run.status) == ("http", "GET", 200, "success")
    assert run.route == "shop/item/<int:pk>/"
    assert run.name == "GET /shop/item/<int:pk>/"
    assert run.metadata == {"view": "store:item"}
    (call,) = llmobs_events.of(PromptCallEvent)
    assert call.run_id == run.run_id


def test_the_root_has_a_route(llmobs_events: CapturedEvents) -> None:
    get("/")
    assert (the_run(llmobs_events).route, the_run(llmobs_events).name) == ("/", "GET /")


def test_a_request_in_which_nothing_happened_is_no_run(llmobs_events: CapturedEvents) -> None:
    assert "x-run-id" in get("/quiet/").headers
    assert not llmobs_events
    with override_settings(LLMOBS={**LLMOBS, "RECORD_EMPTY": True}):
        get("/quiet/")
    assert the_run(llmobs_events).events == 0


def test_the_setting_captures_what_the_process_calls() -> None:
    try:
        for capture in (False, True):
            with override_settings(LLMOBS={**LLMOBS, "CAPTURE": capture}):
                get("/quiet/")
            with httpx2.Client() as http:
                assert is_instrumented(http) is capture
    finally:
        llmobs.uninstrument()


@both
def test_no_run_is_current_afterwards(ask: Any, llmobs_events: CapturedEvents) -> None:
    for path in ("/chat/", "/stream/", "/fails/", "/missing/"):
        ask(path)
        assert current_run() is None


@both
def test_the_caller_names_a_run_and_a_trace(ask: Any, llmobs_events: CapturedEvents) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    ask("/chat/", **{"x-run-id": "theirs", "traceparent": parent})
    run = the_run(llmobs_events)
    assert (run.client_run_id, run.trace_id, run.span_id) == ("theirs", "a" * 32, "b" * 16)
    assert run.run_id != "theirs"


def test_who_is_trusted_names_the_run(llmobs_events: CapturedEvents) -> None:
    with override_settings(LLMOBS={**LLMOBS, "TRUST_RUN_ID": lambda r: r.path == "/chat/"}):
        assert get("/chat/", **{"x-request-id": "ours"}).headers["x-run-id"] == "ours"
        assert get("/", **{"x-request-id": "ours"}).headers["x-run-id"] != "ours"


def test_the_header_may_have_another_name_or_none(llmobs_events: CapturedEvents) -> None:
    with override_settings(LLMOBS={**LLMOBS, "HEADER_NAME": "X-Chat"}):
        assert "x-chat" in get("/chat/", **{"X-Chat": "theirs"}).headers
    with override_settings(LLMOBS={**LLMOBS, "HEADER_NAME": None}):
        assert "x-run-id" not in get("/chat/", **{"x-run-id": "not read"}).headers
    assert [run.client_run_id for run in llmobs_events.of(RunEvent)] == ["theirs", None]


@both
def test_excluded_paths_have_no_run_and_a_tracker_that_records_nothing(
    ask: Any, llmobs_events: CapturedEvents
) -> None:
    with override_settings(LLMOBS={**LLMOBS, "EXCLUDE": ["/quiet/", "/shop/*"]}):
        assert "x-run-id" not in ask("/quiet/").headers
        assert "x-run-id" not in ask("/shop/item/3/").headers
        assert "x-run-id" in ask("/chat/").headers


@both
def test_disabled_it_costs_nothing_and_breaks_nothing(ask: Any) -> None:
    before = set(threading.enumerate())
    with override_settings(LLMOBS={"SINK": "sqlite:////nowhere/llmobs.db", "ENABLED": False}):
        answer = ask("/chat/")
    assert answer.status_code == 200
    assert "x-run-id" not in answer.headers
    assert not llmobs_threads()
    assert {t for t in set(threading.enumerate()) - before if t.name == "llmobs"} == set()


def test_a_wrong_setting_stops_no_request(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.contrib.django.project._troubles", Troubles())
    for wrong, words in (
        ({"SNIK": "memory:"}, "did you mean"),
        ({"SINK": "nowhere:"}, "no sink for 'nowhere'"),
        ("memory:", "must be a dict"),
    ):
        monkeypatch.setattr("llmobs.contrib.django.project._troubles", Troubles())
        with override_settings(LLMOBS=wrong):
            view = LLMObsMiddleware(lambda request: HttpResponse(request.llmobs.log_error("kept")))
            assert view(RequestFactory().get("/")).status_code == 200
        assert words.lower() in caplog.text.lower()


def test_the_middleware_twice_is_one_run(llmobs_events: CapturedEvents) -> None:
    with override_settings(MIDDLEWARE=[OURS, OURS]):
        get("/chat/")
    assert the_run(llmobs_events).events == 1


# Whose request it is.


@both
def test_nobody_asks_for_the_user(ask: Any, llmobs_events: CapturedEvents) -> None:
    users.asked.clear()
    with override_settings(MIDDLEWARE=[OURS, "tests.contrib.django.users.users"]):
        ask("/chat/")
    assert users.asked == []
    assert the_run(llmobs_events).user_id is None


async def _by_header(request: Any) -> str:
    return str(request.headers["x-user"])


@both
@pytest.mark.parametrize(
    ("option", "user"),
    [("pk", "7"), (lambda r: r.headers["x-user"], "u1"), (_by_header, "u1")],
)
def test_the_user_by_option(
    ask: Any, option: Any, user: str, llmobs_events: CapturedEvents
) -> None:
    users.asked.clear()
    with override_settings(
        MIDDLEWARE=[OURS, "tests.contrib.django.users.users"],
        LLMOBS={**LLMOBS, "USER_ID": option},
    ):
        ask("/chat/", **{"x-user": "u1"})
    assert the_run(llmobs_events).user_id == user
    assert llmobs_events.of(PromptCallEvent)[0].user_id == user
    assert users.asked == ([] if option != "pk" else ["sync" if ask is get else "async"])


@both
def test_a_user_function_that_raises_stops_no_request(
    ask: Any, llmobs_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "_troubles", Troubles())
    with override_settings(LLMOBS={**LLMOBS, "USER_ID": lambda request: 1 / 0}):
        assert ask("/chat/").status_code == 200
    assert the_run(llmobs_events).user_id is None


# What takes time, and what fails.


def test_the_time_of_other_middlewares_counts(llmobs_events: CapturedEvents) -> None:
    with override_settings(MIDDLEWARE=[OURS, "tests.contrib.django.users.slow"]):
        get("/chat/")
    assert (the_run(llmobs_events).latency_ms or 0) >= 50


@pytest.mark.parametrize(
    ("ask", "path"), [(get, "/fails/"), (aget, "/fails/"), (get, "/afails/"), (aget, "/afails/")]
)
def test_an_exception_is_recorded_once_with_the_view(
    ask: Any, path: str, llmobs_events: CapturedEvents
) -> None:
    answer = ask(path)
    assert answer.status_code == 500
    run = the_run(llmobs_events)
    assert (run.status, run.http_status) == ("error", 500)
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("ValueError", "on purpose")
    assert run.metadata == {"view": f"tests.contrib.django.site.{path.strip('/')}"}
    assert answer.headers["x-run-id"] == run.run_id


@both
def test_an_exception_of_another_middleware_is_recorded(
    ask: Any, llmobs_events: CapturedEvents
) -> None:
    with override_settings(MIDDLEWARE=[OURS, "tests.contrib.django.users.breaks"]):
        assert ask("/chat/").status_code == 500
    error = the_run(llmobs_events).error
    assert error is not None
    assert error.message == "in another middleware"


@both
def test_an_exception_that_propagates_is_recorded_and_surfaces(
    ask: Any, llmobs_events: CapturedEvents
) -> None:
    with (
        override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True),
        pytest.raises(ValueError, match="on purpose"),
    ):
        ask("/fails/")
    run = the_run(llmobs_events)
    assert (run.status, run.http_status) == ("error", 500)


@pytest.mark.parametrize(("path", "status"), [("/missing/", 404), ("/denied/", 403)])
def test_an_answer_by_exception_is_no_failure(
    path: str, status: int, llmobs_events: CapturedEvents
) -> None:
    get(path)
    run = the_run(llmobs_events)
    assert (run.status, run.http_status, run.error) == ("success", status, None)


def test_no_url_no_route(llmobs_events: CapturedEvents) -> None:
    with override_settings(LLMOBS={**LLMOBS, "RECORD_EMPTY": True}):
        get("/nowhere/")
    run = the_run(llmobs_events)
    assert (run.name, run.route, run.metadata, run.http_status) == ("GET", None, None, 404)


def test_a_view_that_is_cancelled_is_recorded(llmobs_events: CapturedEvents) -> None:
    async def view(request: Any) -> HttpResponse:
        site.log()
        await asyncio.sleep(60)
        return HttpResponse()

    async def leave() -> None:
        task = asyncio.ensure_future(LLMObsMiddleware(view)(RequestFactory().get("/")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert the_run(llmobs_events).status == Status.CANCELLED


# Streams.


def test_a_stream_stays_in_its_run(llmobs_events: CapturedEvents) -> None:
    for number, chunk in enumerate(answer := get("/stream/")):
        assert current_run() is None
        assert not llmobs_events.of(RunEvent)
        assert chunk == f"{number}\n".encode()
    answer.close()
    check_stream(llmobs_events)


def test_an_async_stream_stays_in_its_run(llmobs_events: CapturedEvents) -> None:
    async def chunks() -> list[bytes]:
        found = []
        async for chunk in await AsyncClient().get("/astream/"):
            assert current_run() is None
            assert not llmobs_events.of(RunEvent)
            found.append(chunk)
        return found

    assert asyncio.run(chunks()) == [b"0\n", b"1\n", b"2\n"]
    check_stream(llmobs_events)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_an_iterator_of_the_other_kind_stays_in_its_run(llmobs_events: CapturedEvents) -> None:
    async def chunks() -> list[bytes]:
        return [chunk async for chunk in await AsyncClient().get("/stream/")]

    assert asyncio.run(chunks()) == list(get("/astream/"))
    gc.collect()
    for run in llmobs_events.of(RunEvent):
        assert (run.events, run.status) == (3, "success")
    assert len(llmobs_events.of(RunEvent)) == 2


def check_stream(llmobs_events: CapturedEvents) -> None:
    run = the_run(llmobs_events)
    assert (run.events, run.status, run.http_status) == (3, "success", 200)
    assert {event.run_id for event in llmobs_events} == {run.run_id}


def test_an_operation_that_is_open_between_chunks_is_current_again(
    llmobs_events: CapturedEvents,
) -> None:
    b"".join(get("/operation/").streaming_content)
    (step,) = llmobs_events.of(AgentStepEvent)
    assert [e.parent_id for e in llmobs_events.of(PromptCallEvent)] == [step.event_id, None]


def test_two_streams_take_turns_in_one_thread(llmobs_events: CapturedEvents) -> None:
    one, two = get("/stream/"), get("/stream/")
    for chunks in zip(one, two, strict=True):
        assert chunks[0] == chunks[1]
    for run in llmobs_events.of(RunEvent):
        assert run.events == 3
    assert len(llmobs_events.of(RunEvent)) == 2


@pytest.mark.parametrize(("ask", "path"), [("sync", "/breaks/"), ("async", "/abreaks/")])
def test_an_iterator_that_raises(ask: str, path: str, llmobs_events: CapturedEvents) -> None:
    async def consume() -> None:
        async for _ in await AsyncClient().get(path):
            pass

    with pytest.raises(ValueError, match="in the middle"):
        if ask == "sync":
            for _ in get(path):
                pass
        else:
            asyncio.run(consume())
    gc.collect()
    run = the_run(llmobs_events)
    assert run.status == "error"
    assert run.error is not None
    assert run.error.message == "in the middle of the stream"


def served(view: Any, method: str = "get") -> Any:
    return LLMObsMiddleware(view)(getattr(RequestFactory(), method)("/"))


def test_an_iterator_that_never_started_ends_with_the_response(
    llmobs_events: CapturedEvents,
) -> None:
    response = served(lambda request: (site.log(), site.stream(request))[1], "head")
    assert not llmobs_events.of(RunEvent)
    response.close()
    response.close()
    assert the_run(llmobs_events).status == "success"
    assert the_run(llmobs_events).method == "HEAD"


def test_a_client_that_left_in_the_middle(llmobs_events: CapturedEvents) -> None:
    left = []

    def view(request: Any) -> StreamingHttpResponse:
        def body() -> Any:
            try:
                site.log()
                yield "one"
                yield "two"
            finally:
                left.append(current_run())
                site.log("cleaning up")

        return StreamingHttpResponse(body())

    response = served(view)
    next(iter(response))
    response.close()
    run = the_run(llmobs_events)
    assert (run.status, run.events) == (Status.CANCELLED, 2)
    assert [r.run_id for r in left] == [run.run_id]
    assert current_run() is None


def test_a_file_is_still_a_file_for_the_server(llmobs_events: CapturedEvents) -> None:
    content = io.BytesIO(b"x" * 10_000)
    response = served(lambda request: (site.log(), FileResponse(content))[1])
    assert isinstance(response, FileResponse)
    assert response.file_to_stream is content  # what wsgi.file_wrapper is given
    assert b"".join(response) == b"x" * 10_000
    response.close()
    assert content.closed
    assert the_run(llmobs_events).status == "success"


def test_conditional_get_and_head(llmobs_events: CapturedEvents) -> None:
    with override_settings(
        MIDDLEWARE=[OURS, "django.middleware.http.ConditionalGetMiddleware"],
        LLMOBS={**LLMOBS, "RECORD_EMPTY": True},
    ):
        etag = get("/quiet/").headers["etag"]
        assert get("/quiet/", **{"if-none-match": etag}).status_code == 304
        assert list(Client().head("/stream/")) == []  # with which its client closes it
    assert [(r.http_status, r.status) for r in llmobs_events.of(RunEvent)] == [
        (200, "success"),
        (304, "success"),
        (200, "success"),
    ]


def test_compression_outside_changes_nothing(llmobs_events: CapturedEvents) -> None:
    with override_settings(MIDDLEWARE=["django.middleware.gzip.GZipMiddleware", OURS]):
        answer = get("/stream/", **{"accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        b"".join(answer.streaming_content)
        answer.close()
    assert the_run(llmobs_events).events == 3


def test_a_response_that_was_put_in_place_of_ours_loses_no_run(
    llmobs_events: CapturedEvents,
) -> None:
    with override_settings(MIDDLEWARE=["tests.contrib.django.users.swallows", OURS]):
        assert get("/chat/").content == b"instead"
    gc.collect()
    assert the_run(llmobs_events).events == 1


def test_a_response_can_be_cached(llmobs_events: CapturedEvents) -> None:
    response = served(site.chat)
    again = pickle.loads(pickle.dumps(response))
    assert again.content == response.content
    again.close()
    assert not llmobs_events.of(RunEvent)
    response.close()
    assert the_run(llmobs_events).events == 1


def test_nothing_keeps_a_request_alive(llmobs_events: CapturedEvents) -> None:
    import weakref

    request = RequestFactory().get("/")
    watch = weakref.ref(request)
    gc.disable()
    try:
        response = LLMObsMiddleware(site.chat)(request)
        response.close()
        del request, response
        assert watch() is None
    finally:
        gc.enable()


# Threads.


def test_it_adds_no_thread_to_either_kind_of_view() -> None:
    """As many threads as without it, and an async view stays in the loop's."""

    def idents(middleware: list[str]) -> tuple[bool, int]:
        async def ask() -> tuple[bool, int]:
            hops: list[Any] = []
            loop = asyncio.get_running_loop()
            original = loop.run_in_executor
            loop.run_in_executor = lambda *args: (hops.append(args), original(*args))[1]  # type: ignore[method-assign]
            with override_settings(MIDDLEWARE=middleware):
                answer = await AsyncClient().get("/athreads/")
            return int(answer.content) == threading.get_ident(), len(hops)

        return asyncio.run(ask())

    assert idents([OURS]) == idents([])
    assert idents([OURS])[0]
    with override_settings(MIDDLEWARE=[OURS]):
        assert int(get("/threads/").content) == threading.get_ident()


def test_threads_of_asgiref_keep_the_run(llmobs_events: CapturedEvents) -> None:
    for ask in (get, aget):
        ask("/from_threads/")
    assert [run.events for run in llmobs_events.of(RunEvent)] == [2, 2]


def test_errors_of_ours_reach_no_request(
    llmobs_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from llmobs.runtime import troubles

    troubles.raise_internal_errors(False)
    monkeypatch.setattr("llmobs.contrib._web.origin.Origin.open", lambda *a: 1 / 0)
    with caplog.at_level(logging.ERROR, "llmobs"):
        assert get("/quiet/").status_code == 200
    assert "open a run for a request" in caplog.text
