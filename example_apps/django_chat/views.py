"""A sync and an async view, as a page's script asks them."""

import json
from collections.abc import AsyncIterator

import openai
from asgiref.sync import sync_to_async
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from . import assistant
from .models import Conversation
from .tasks import find_title


def no_half_characters(value: str) -> None:
    # JSON can write one half of a surrogate pair ("\\ud83d"), which no database and no model takes.
    if any("\ud800" <= each <= "\udfff" for each in value):
        raise ValidationError("There is half a character in it.")


class Text(forms.CharField):
    default_validators = (no_half_characters,)


class Question(forms.Form):
    message = Text(max_length=100_000)
    user = Text(max_length=100, empty_value="anonymous", required=False)
    model = Text(max_length=100, empty_value=assistant.MODEL, required=False)


@require_POST
def chat(request: HttpRequest) -> HttpResponse:
    """Answer whole."""
    question = _asked(request)
    if not question.is_valid():
        return JsonResponse({"errors": question.errors}, status=400)
    asked = question.cleaned_data
    request.llmobs.user_id = asked["user"]
    try:
        answer = assistant.answer(asked["message"], asked["model"])
    except openai.APIError:
        detail = "the model is busy, try again"
        return JsonResponse({"detail": detail}, status=503, headers={"retry-after": "1"})
    kept = Conversation.objects.create(user=asked["user"], message=asked["message"], answer=answer)
    find_title.delay(kept.pk)
    return JsonResponse({"id": kept.pk, "answer": answer})


@require_POST
async def chat_stream(request: HttpRequest) -> HttpResponse:
    """Answer word by word, as server-sent events."""
    question = _asked(request)
    if not question.is_valid():
        return JsonResponse({"errors": question.errors}, status=400)
    asked = question.cleaned_data
    request.llmobs.user_id = asked["user"]
    return StreamingHttpResponse(_events(asked), content_type="text/event-stream")


async def _events(asked: dict[str, str]) -> AsyncIterator[str]:
    pieces = []
    try:
        async for piece in assistant.stream(asked["message"], asked["model"]):
            pieces.append(piece)
            yield f"data: {json.dumps({'text': piece})}\n\n"
    except openai.APIError:
        yield 'event: error\ndata: {"detail": "the model is busy, try again"}\n\n'
        return
    kept = await Conversation.objects.acreate(
        user=asked["user"], message=asked["message"], answer="".join(pieces)
    )
    await sync_to_async(find_title.delay)(kept.pk)
    yield "data: [DONE]\n\n"


def _asked(request: HttpRequest) -> Question:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    return Question(body if isinstance(body, dict) else {})


def health(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})
