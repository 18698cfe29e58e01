"""What the worker does."""

import openai

from . import assistant
from .celery import app
from .models import Conversation


@app.task(name="find_title", autoretry_for=(openai.APIError,), max_retries=3, retry_backoff=True)
def find_title(pk: int, model: str = assistant.MODEL) -> None:
    """Ask the model for a title of a conversation."""
    conversation = Conversation.objects.get(pk=pk)
    question = f"A title of five words for this question: {conversation.message}"
    title = assistant.answer(question, model)
    Conversation.objects.filter(pk=pk).update(title=title[:200])
