"""The middleware: every request is a run, sync or async, and ``request.llmobs`` is its tracker."""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.apps import apps
from django.core.signals import got_request_exception

from llmobs.capture.tracker import NO_RECORDER, Tracker
from llmobs.contrib._web.current import put_back
from llmobs.contrib._web.options import is_async
from llmobs.contrib.asgi import tracker_of
from llmobs.contrib.django.project import APP, current_project
from llmobs.contrib.django.serving import Serving
from llmobs.runtime.context import current_frame, set_frame
from llmobs.runtime.troubles import Troubles, internal_errors

__all__ = ["LLMObsMiddleware"]

SERVING: Final = "llmobs.serving"
"""Where a request's attributes have what is kept about it."""

_troubles = Troubles()


class LLMObsMiddleware:
    """
    ``MIDDLEWARE = ["llmobs.contrib.django.LLMObsMiddleware", ...]``: first, so that all others count.

    Makes no async view sync, nor adds a thread to either. A request's run ends when its response is
    closed, which servers do after the last byte.

    Args:
        get_response: What serves the request.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
            self.process_view = self._process_view_async  # type: ignore[assignment,method-assign]
        got_request_exception.connect(_note_exception, dispatch_uid="llmobs")
        if not apps.is_installed(APP):
            # `manage.py check` imports no middleware: where the app is missing, nobody else says so.
            _troubles.log(
                "no-app",
                "llmobs: %r is missing in INSTALLED_APPS: there are no system checks, and code "
                "outside requests has the environment's settings",
                APP,
            )
        # Now, while nobody waits: a client takes its time to build, and starts nothing yet.
        current_project()

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        if self._is_async:
            return self._serve_async(request)
        serving = self._open(request)
        if serving is None:
            return self.get_response(request)
        previous = current_frame()
        set_frame(serving.tracker)
        try:
            response = self.get_response(request)
        except BaseException as error:
            _fail(serving, request, error)
            raise
        finally:
            put_back(serving.tracker, previous)
        return _answer(serving, request, response)

    async def _serve_async(self, request: Any) -> Any:
        serving = self._open(request)
        if serving is None:
            return await self.get_response(request)
        previous = current_frame()
        set_frame(serving.tracker)
        try:
            response = await self.get_response(request)
        except BaseException as error:
            _fail(serving, request, error)
            raise
        finally:
            put_back(serving.tracker, previous)
        return _answer(serving, request, response)

    def _open(self, request: Any) -> Serving | None:
        """Return what is kept about *request*; None if it gets no run here."""
        if "llmobs" in request.__dict__:  # the middleware is there twice
            return None
        try:
            outer = tracker_of(request)
            if outer is not None:  # an ASGI middleware of ours is outside, and ends the run
                request.llmobs = outer
                return None
            project = current_project()
            client, options = project.client, project.options
            if project.problem is not None:
                project.say()
            elif client.enabled and not (
                options.exclusions
                and options.exclusions.hold(request.path, request.META.get("SCRIPT_NAME"))
            ):
                tracker = options.origin.open(client, request.META, "http", request)
                request.llmobs = tracker
                serving = request.__dict__[SERVING] = Serving(tracker, options)
                return serving
        except Exception:
            with internal_errors("open a run for a request"):
                raise
        request.llmobs = Tracker(NO_RECORDER)
        return None

    # Whose request it is: known once the other middlewares have seen it.

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Ask the option ``USER_ID``, if there is one."""
        option = _user_id_option(request)
        if option is None:
            return
        try:
            if option == "pk":
                user_id = getattr(getattr(request, "user", None), "pk", None)
            elif is_async(option):
                user_id = async_to_sync(option)(request)
            else:
                user_id = option(request)
        except Exception as error:  # noqa: BLE001 - the application's function
            _complain_of_user_id(error)
        else:
            _set_user_id(request, user_id)

    async def _process_view_async(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        option = _user_id_option(request)
        if option is None:
            return
        try:
            if option == "pk":
                auser = getattr(request, "auser", None)
                user_id = None if auser is None else (await auser()).pk
            elif is_async(option):
                user_id = await option(request)
            else:  # it may well ask the database
                user_id = await sync_to_async(option)(request)
        except Exception as error:  # noqa: BLE001 - the application's function
            _complain_of_user_id(error)
        else:
            _set_user_id(request, user_id)


def _user_id_option(request: Any) -> Any:
    serving = request.__dict__.get(SERVING)
    return None if serving is None else serving.options.user_id


def _set_user_id(request: Any, user_id: Any) -> None:
    if user_id is not None and request.llmobs.user_id is None:
        request.llmobs.user_id = str(user_id)


def _complain_of_user_id(error: Exception) -> None:
    _troubles.log(
        "user-id",
        "llmobs: LLMOBS['USER_ID'] raised %r; the request's user is not recorded",
        error,
        level=logging.ERROR,
    )


def _answer(serving: Serving, request: Any, response: Any) -> Any:
    try:
        serving.note(request)
        serving.answer(response)
    except Exception:
        with internal_errors("answer a request"):
            raise
    return response


def _fail(serving: Serving, request: Any, error: BaseException) -> None:
    with internal_errors("record a request that failed"):
        serving.error = error
        serving.note(request)
        serving()


def _note_exception(request: Any = None, **details: Any) -> None:
    """Take an exception that Django answers with a 500, wherever it was raised."""
    serving = getattr(request, "__dict__", {}).get(SERVING)
    if serving is not None and serving.error is None:
        serving.error = sys.exc_info()[1]
