"""A middleware that knows whose request it is, and counts who asks."""

from types import SimpleNamespace
from typing import Any

from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import SimpleLazyObject

asked: list[str] = []


def _user(how: str) -> Any:
    asked.append(how)
    return SimpleNamespace(pk=7)


@sync_and_async_middleware
def users(get_response: Any) -> Any:
    from asgiref.sync import iscoroutinefunction

    def prepare(request: Any) -> None:
        request.user = SimpleLazyObject(lambda: _user("sync"))

        async def auser() -> Any:
            return _user("async")

        request.auser = auser

    if iscoroutinefunction(get_response):

        async def middleware(request: Any) -> Any:
            prepare(request)
            return await get_response(request)

        return middleware

    def plain(request: Any) -> Any:
        prepare(request)
        return get_response(request)

    return plain


def slow(get_response: Any) -> Any:
    """Another middleware that takes its time."""
    import time

    def middleware(request: Any) -> Any:
        time.sleep(0.05)
        return get_response(request)

    return middleware


def breaks(get_response: Any) -> Any:
    """Another middleware that fails."""

    def middleware(request: Any) -> Any:
        raise RuntimeError("in another middleware")

    return middleware


def swallows(get_response: Any) -> Any:
    """An outer middleware that answers with a response of its own."""
    from django.http import HttpResponse

    def middleware(request: Any) -> Any:
        get_response(request)
        return HttpResponse("instead")

    return middleware
