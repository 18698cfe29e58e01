"""What projects add to Django: REST framework, ninja, Channels, tasks."""

import importlib.util
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import HttpRequest, HttpResponse
from django.urls import path
from ninja import NinjaAPI
from rest_framework.decorators import api_view
from rest_framework.exceptions import Throttled
from rest_framework.response import Response
from rest_framework.views import APIView

from llmobs.contrib.asgi import tracker_of
from llmobs.contrib.django.asgi import get_asgi_application, observe
from tests.contrib.django.site import log

if importlib.util.find_spec("django.tasks"):
    from django.tasks import task
else:
    from django_tasks import task


class Answers(APIView):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Any, pk: int) -> Response:
        request.llmobs.log_prompt_call(request.data["question"], "gpt-4o", "a", 1, 2)
        return Response({"run": request.llmobs.run_id})


@api_view(["GET"])
def busy(request: Any) -> Response:
    log()
    raise Throttled


@api_view(["GET"])
def breaks(request: Any) -> Response:
    log()
    raise ValueError("in an endpoint")


ninja = NinjaAPI()


@ninja.get("/sync/{pk}")
def ninja_sync(request: HttpRequest, pk: int) -> dict[str, str]:
    log()
    return {"run": request.llmobs.run_id}


@ninja.get("/async")
async def ninja_async(request: HttpRequest) -> dict[str, str]:
    log()
    return {"run": request.llmobs.run_id}


@task
def summarise(text: str) -> str:
    return log(text)


def enqueues(request: HttpRequest) -> HttpResponse:
    summarise.enqueue("in a task")
    return HttpResponse(request.llmobs.run_id)


class Chat(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        log(text_data or "")
        tracker = tracker_of(self)
        assert tracker is not None
        await self.send(tracker.run_id)


class ThreadedChat(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        log(text_data or "")
        self.send("yes")


urlpatterns = [
    path("answers/<int:pk>/", Answers.as_view(), name="answers"),
    path("busy/", busy),
    path("breaks/", breaks),
    path("ninja/", ninja.urls),
    path("enqueues/", enqueues),
]


def application() -> Any:
    sockets = [path("ws/", Chat.as_asgi()), path("threaded/", ThreadedChat.as_asgi())]
    return observe(
        ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter(sockets)})
    )
