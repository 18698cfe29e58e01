"""
Write the API reference from the code: everything applications import, and nothing else.

Run ``python docs/generate.py`` after changing one; a test fails if the page is not current.
"""

import inspect
import re
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import Any

from docs.docstrings import attribute_docs, first_paragraph, markdown

import llmobs
from llmobs import _pytest_plugin
from llmobs.errors import LLMObsError
from llmobs.events import Event

INTERNAL = {
    "after_fork",
    "between",
    "drain",
    "duplicate",
    "enclose",
    "expect",
    "innermost",
    "frame_in_current_span",
    "process_view",
    "record",
    "record_later",
    "refuse",
    "shared",
}
"""Methods that the parts of llmobs call of each other."""
INTERNAL_ATTRIBUTES = {
    "calls_unfiled",
    "capture_bytes",
    "door",
    "ended",
    "is_run",
    "left",
    "on_cancelled",
    "outer",
    "run_inline",
    "sampled",
    "trouble_loggers",
}

GROUPS = {
    "Clients": ["Client", "AsyncClient", "default_client", "flush_on_signals", "Settings"],
    "Capture": ["instrument", "uninstrument"],
    "Runs": ["run", "current_tracker", "current_run", "bind_run", "observe", "Tracker", "Run"],
    "What happens in runs": ["PromptCall", "AgentStep", "ToolCall"],
    "Stages": ["Stage", "Drop"],
    "Reports": ["FlushReport", "Statistics", "SinkState", "DropReason"],
    "Words": [
        "EventType",
        "Status",
        "StepType",
        "Severity",
        "AssertionType",
        "DetectionMethod",
        "EvaluationSource",
        "AlertType",
        "ErrorInfo",
        "ClientInfo",
    ],
}
DOORS = {
    "llmobs.contrib.fastapi": (
        """For FastAPI. All but `TrackerDep` are in `llmobs.contrib.starlette` too, for Starlette; the middleware,
`tracker_of` and `run_of` also in `llmobs.contrib.asgi`, for any ASGI application. See
[middleware](middleware.md).""",
        ["LLMObsMiddleware", "TrackerDep", "get_tracker", "tracker_of", "run_of", "viewer"],
    ),
    "llmobs.contrib.django": (
        "For Django; see [how to set it up](../how-to/django.md).",
        ["LLMObsMiddleware"],
    ),
    "llmobs.contrib.django.asgi": (
        "For Django under ASGI servers.",
        ["get_asgi_application", "observe"],
    ),
    "llmobs.contrib.openai": (
        "See [how to capture calls of the openai package](../how-to/capture-openai.md).",
        ["instrument", "uninstrument"],
    ),
    "llmobs.contrib.anthropic": (
        "See [how to capture calls of the anthropic package](../how-to/capture-anthropic.md).",
        ["instrument", "uninstrument"],
    ),
    "llmobs.contrib.httpx": (
        "For clients of `httpx2` and `httpx`, without any SDK.",
        ["instrument", "uninstrument", "is_instrumented"],
    ),
    "llmobs.contrib.aiohttp": (
        "For google-genai's async client, LiteLLM and all else that stands on aiohttp.",
        ["instrument", "uninstrument"],
    ),
    "llmobs.contrib.urllib3": (
        "For `requests` and all else that stands on urllib3.",
        ["instrument", "uninstrument"],
    ),
    "llmobs.contrib.websockets": (
        "See [how to capture realtime and responses over WebSocket](../how-to/capture-realtime.md).",
        ["instrument", "uninstrument"],
    ),
    "llmobs.contrib.botocore": (
        "See [how to capture calls of Amazon Bedrock](../how-to/capture-bedrock.md).",
        ["instrument", "uninstrument"],
    ),
    "llmobs.contrib.langchain": (
        "See [how to record LangChain and LangGraph](../how-to/langchain.md).",
        ["LLMObsCallbackHandler"],
    ),
    "llmobs.contrib.openai_agents": (
        "See [how to record what agents do](../how-to/capture-agents.md).",
        ["instrument", "uninstrument", "LLMObsTracingProcessor"],
    ),
    **{
        f"llmobs.contrib.{name}": (
            "See [how to record what agents do](../how-to/capture-agents.md).",
            ["instrument", "uninstrument"],
        )
        for name in (
            "mcp",
            "litellm",
            "pydantic_ai",
            "llama_index",
            "dspy",
            "crewai",
            "smolagents",
            "google_adk",
            "tool_runners",
        )
    },
    "llmobs.contrib.opentelemetry": (
        "See [OpenTelemetry in](../how-to/opentelemetry.md).",
        ["tracer_provider", "LLMObsSpanProcessor"],
    ),
    **{
        f"llmobs.contrib.{name}": ("See [record tasks of a queue](../how-to/workers.md).", names)
        for name, names in {
            "celery": ["instrument", "uninstrument"],
            "dramatiq": ["LLMObsMiddleware"],
            "taskiq": ["LLMObsMiddleware"],
            "arq": ["instrument", "job_serializer"],
            "rq": ["LLMObsJob", "LLMObsWorker", "LLMObsSimpleWorker"],
            "django_tasks": ["LLMObsBackend"],
            "procrastinate": ["instrument"],
        }.items()
    },
    "llmobs.testing": (
        "See [test your application](../how-to/test-your-app.md).",
        ["capture_events", "CapturedEvents"],
    ),
    "llmobs.sinks": ("See [write a sink](../how-to/write-a-sink.md).", ["Sink", "Batch"]),
}


def api_page() -> str:
    lines = [
        "# API",
        "",
        """What `import llmobs` offers, then the doors, each a module of its own. What is not here is internal
and may change. See also [events](events.md) and [settings](settings.md).""",
        "",
    ]
    for title, names in GROUPS.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += entry(name, name, getattr(llmobs, name), "")
    lines += [*events_list(), *errors_list()]
    for path, (about, names) in DOORS.items():
        module = import_module(path)
        lines += [f"## {path}", "", about, ""]
        for name in names:
            lines += entry(
                f"{path}.{name}", name, getattr(module, name), constant_doc(module, name)
            )
    lines += [
        "### llmobs_events",
        "",
        "A fixture of pytest, there once llmobs is installed.",
        "",
        *markdown(inspect.getdoc(_pytest_plugin.llmobs_events) or ""),
    ]
    return "\n".join(lines)


def entry(title: str, name: str, value: Any, doc: str) -> list[str]:
    lines = [f"### {title}", ""]
    if inspect.isclass(value) and issubclass(value, Enum):
        return [*lines, *enum_entry(value)]
    if inspect.isclass(value):
        return [*lines, *class_entry(name, value)]
    if inspect.isroutine(value):
        return [*lines, *callable_entry(name, value)]
    return [*lines, *markdown(doc)]


def enum_entry(cls: type[Enum]) -> list[str]:
    docs = attribute_docs(cls)
    rows = [f"| `{each.name}` | `{each.value}` | {docs[each.name]} |" for each in cls]
    return [
        *markdown(inspect.getdoc(cls) or ""),
        "| name | value | meaning |",
        "|---|---|---|",
        *rows,
        "",
    ]


def class_entry(name: str, cls: type) -> list[str]:
    lines = markdown(inspect.getdoc(cls) or "")
    if name == "Settings":
        return [*lines, "Its fields: [settings](settings.md).", ""]
    if not issubclass(cls, Event) and cls.__init__ is not object.__init__:
        lines = [*signature(name, cls), *lines]
    own = [base for base in cls.__mro__ if base.__module__.startswith("llmobs")]
    attributes = {
        key: doc
        for base in reversed(own)
        for key, doc in {**attribute_docs(base), **property_docs(base)}.items()
        if not key.startswith("_") and key not in INTERNAL_ATTRIBUTES
    }
    if attributes:
        lines += ["| attribute | meaning |", "|---|---|"]
        lines += [f"| `{key}` | {doc} |" for key, doc in attributes.items()]
        lines += [""]
    for member in sorted(dir(cls)):
        value = inspect.getattr_static(cls, member)
        if member.startswith("_") or member in INTERNAL or not any(member in vars(c) for c in own):
            continue
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if inspect.isfunction(value) and value.__doc__ and not is_callback(member):
            lines += [f"#### {name}.{member}", "", *callable_entry(member, value)]
    return lines


def is_callback(name: str) -> bool:
    """What LangChain and OpenTelemetry call of a handler."""
    return name.startswith(("on_", "_on")) or name in ("shutdown", "force_flush")


def property_docs(cls: type) -> dict[str, str]:
    return {
        name: first_paragraph(value)
        for name, value in vars(cls).items()
        if isinstance(value, property)
    }


def constant_doc(module: ModuleType, name: str) -> str:
    """Return the docstring below a constant of *module*."""
    found = re.search(rf'^{name} = .*\n"""(.+?)"""', inspect.getsource(module), re.M | re.S)
    return found[1] if found else ""


def events_list() -> list[str]:
    """One row for each event: its fields are on a page of their own."""
    found = [
        cls
        for cls in (getattr(llmobs, name) for name in llmobs.__all__)
        if inspect.isclass(cls) and issubclass(cls, Event)
    ]
    rows = []
    for cls in sorted(found, key=lambda cls: cls.__name__):
        anchor = getattr(cls, "event_type", "fields-of-every-event")
        rows.append(f"| [`{cls.__name__}`](events.md#{anchor}) | {first_paragraph(cls)} |")
    return [
        "## Events",
        "",
        "What sinks, `llmobs.testing` and `client.send()` see. Their fields are in [events](events.md).",
        "",
        "| class | |",
        "|---|---|",
        *rows,
        "",
    ]


def errors_list() -> list[str]:
    found = [getattr(llmobs, name) for name in llmobs.__all__]
    rows = [
        f"| `{cls.__name__}` | {', '.join(f'`{base.__name__}`' for base in cls.__bases__)} |"
        f" {first_paragraph(cls)} |"
        for cls in found
        if inspect.isclass(cls) and issubclass(cls, LLMObsError)
    ]
    return ["## Errors", "", "| class | is a | raised when |", "|---|---|---|", *rows, ""]


def callable_entry(name: str, value: Any) -> list[str]:
    return [*signature(name, value), *markdown(inspect.getdoc(value) or "")]


def signature(name: str, value: Any) -> list[str]:
    star = "async " if inspect.iscoroutinefunction(value) else ""
    found = inspect.signature(value)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in found.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    bare = found.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    # Enums are shown as what may be written for them.
    text = re.sub(r"<\w+\.\w+: (.+?)>", r"\1", f"{star}{name}{bare}")
    return ["```", text, "```", ""]
