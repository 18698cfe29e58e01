"""
What spans say of the whole they belong to: on whose behalf, in which conversation, under which words.

Everybody has names of their own for that, and nobody writes them on spans of models alone.
"""

from collections.abc import Mapping
from typing import Any, Final

from llmobs.contrib._spans.flat import bare, read_json
from llmobs.contrib._spans.kinds import VERCEL_OPERATION
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_object, as_text

__all__ = ["about", "run_name"]

Attributes = Mapping[str, Any]

_VERCEL: Final = "ai.telemetry.metadata."
_TRACELOOP: Final = "traceloop.association.properties."
_LANGSMITH: Final = "langsmith.metadata."
_METADATA: Final = (
    _VERCEL,
    _TRACELOOP,
    _LANGSMITH,
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
)
"""What follows these is a name that the application chose."""
_METADATA_WHOLE: Final = ("metadata", "langfuse.trace.metadata", "langfuse.observation.metadata")
"""OpenInference's and Pydantic AI's, as JSON; Langfuse's, where it is no object."""

_USERS: Final = frozenset({"user_id", "userId", "langfuse_user_id"})
_SESSIONS: Final = frozenset(
    {
        "session_id", "sessionId", "langfuse_session_id", "thread_id", "threadId",
        "conversation_id", "conversationId", "chat_id",
    }
)  # fmt: skip
_TAGS: Final = frozenset({"tags", "langfuse_tags"})
_FIELDS: Final = {
    semconv.USER_ID: "user_id",
    "enduser.id": "user_id",
    "langfuse.user.id": "user_id",
    semconv.SESSION_ID: "session_id",
    "langfuse.session.id": "session_id",
    "langsmith.trace.session_id": "session_id",
    semconv.CONVERSATION_ID: "session_id",
    "langfuse.trace.tags": "tags",
    "tag.tags": "tags",
    "langsmith.span.tags": "tags",
    "langfuse.environment": "environment",
    "langfuse.release": "release",
}
_INSIDE: Final = frozenset({"revision_id", "usage_metadata", "runtime", "finish_reason"})
"""Written by the SDKs themselves among what the application says."""
_ENVIRONMENT: Final = ("LANGSMITH_", "LANGCHAIN_", "ls_", "lc_", "langgraph_", "__")


_REMEMBERED: Final = 4_096
_silent: set[str] = set()
"""Names that say nothing here: nearly all, and the same ones with every span."""


def about(attributes: Attributes) -> Fields:
    """
    Return what *attributes* say: any of ``user_id``, ``session_id``, ``tags``, ``metadata``,
    ``environment`` and ``release``. Of any span, also of those that are about something else.
    """
    found: Fields = {}
    metadata: Json = {}
    for name, value in attributes.items():
        if name in _silent:
            continue
        if (field := _FIELDS.get(name)) is not None:
            _add_field(found, field, value)
        elif name == "logfire.tags" and type(value) in (list, tuple):
            # Its own spans of models are marked so.
            _add_field(found, "tags", [each for each in value if each != "LLM"])
        elif name.startswith(_METADATA):
            prefix = next(each for each in _METADATA if name.startswith(each))
            _add_metadata(found, metadata, name[len(prefix) :], value)
        elif name in _METADATA_WHOLE:
            whole = read_json(value)
            for key, inner in (whole if type(whole) is dict else {"metadata": whole}).items():
                _add_metadata(found, metadata, str(key), inner)
        elif name != "logfire.tags" and len(_silent) < _REMEMBERED:
            _silent.add(name)
    if "logfire.json_schema" in attributes:
        metadata.update(_logfire(attributes))
    if metadata:
        found["metadata"] = metadata
    return found


def run_name(attributes: Attributes) -> str | None:
    """Return the name that *attributes* give the run whose first span has them, if any."""
    get = attributes.get
    if "logfire.msg_template" in attributes:
        return as_text(get("logfire.msg"))  # the span itself is named by the template
    for name in ("langfuse.trace.name", "traceloop.workflow.name", "traceloop.entity.name"):
        if found := as_text(get(name)):
            return found
    return as_text(get("ai.telemetry.functionId")) if VERCEL_OPERATION in attributes else None


def _scrubbed(value: Any) -> bool:
    """Whether Logfire put a note in the place of a value."""
    return type(value) is str and value.startswith("[Scrubbed due to ")


def _add_field(found: Fields, field: str, value: Any) -> None:
    if field == "tags":
        words = value.split(",") if type(value) is str else value
        if type(words) not in (list, tuple):
            return
        tags = [word for each in words if (word := str(each).strip())]
        if tags:
            found["tags"] = tuple(dict.fromkeys((*found.get("tags", ()), *tags)))
    elif type(value) in (str, int) and value != "" and not _scrubbed(value):
        found.setdefault(field, str(value))


def _add_metadata(found: Fields, metadata: Json, name: str, value: Any) -> None:
    if name in _USERS:
        _add_field(found, "user_id", value)
    elif name in _SESSIONS:
        _add_field(found, "session_id", value)
    elif name in _TAGS:
        _add_field(found, "tags", read_json(value))
    elif name not in _INSIDE and not name.startswith(_ENVIRONMENT):
        metadata[name] = bare(value)


def _logfire(attributes: Attributes) -> Json:
    """Return the arguments of a span of Logfire's: what its schema names beside other conventions."""
    if semconv.OPERATION_NAME in attributes:
        return {}
    schema = as_object(read_json(attributes["logfire.json_schema"]))
    names = (str(name) for name in as_object(schema.get("properties")))
    return {
        name: read_json(attributes[name])
        for name in names
        if name in attributes and "." not in name and name not in _OF_LOGFIRE
    }


_OF_LOGFIRE: Final = frozenset(
    {"request_data", "response_data", "async", "duration", "metadata", "all_messages_json"}
)
