"""Reads contacts out of texts, if the model keeps to the format it was asked for."""

from pydantic import BaseModel, ValidationError

from llmobs import AssertionType, Severity, Tracker

from .assistant import Assistant


class Contact(BaseModel):
    name: str
    email: str


class NotAContactError(Exception):
    """The model's answer is not what was asked for."""


async def extract_contact(tracker: Tracker, assistant: Assistant, text: str, model: str) -> Contact:
    reply = await assistant.answer(
        [
            {"role": "system", "content": 'Answer with JSON only: {"name": …, "email": …}'},
            {"role": "user", "content": text},
        ],
        model=model,
    )
    try:
        return Contact.model_validate_json(reply.content or "")
    except ValidationError as error:
        tracker.log_assertion_failed(
            "contact_is_json",
            AssertionType.RESPONSE_FORMAT,
            expected=Contact.model_json_schema(),
            actual=reply.content,
            severity=Severity.HIGH,
        )
        raise NotAContactError("the model did not answer with a contact") from error
