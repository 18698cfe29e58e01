"""What the worker does."""

import openai

from . import assistant
from .celery import app
from .models import Conversation


@app.task(name="find_title", autoretry_for=(openai.APIError,), max_retries=3, retry_backoff=True)
def find_title(pk: int) -> None:
    """Ask the model for a title of a conversation."""
    conversation = Conversation.objects.get(pk=pk)
    title = assistant.answer(f"A title of five words for this question: {conversation.message}")
    Conversation.objects.filter(pk=pk).update(title=title[:200])
