"""System checks: what is wrong with the settings stops ``manage.py check``, not a request."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from llmobs.contrib.django.project import (
    APP,
    NAME,
    Options,
    project_values,
    settings_of,
    unknown_keys,
)
from llmobs.errors import ConfigurationError
from llmobs.sinks import resolve
from llmobs.sinks.memory import MemorySink

__all__ = ["check_installation", "check_settings", "register_checks"]

MIDDLEWARES: Final = (f"{APP}.LLMObsMiddleware", f"{APP}.middleware.LLMObsMiddleware")


def register_checks() -> None:
    """Let ``manage.py check`` run them; safe to call twice."""
    register(check_settings, Tags.compatibility)
    register(check_installation, Tags.compatibility)


def check_settings(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Look at ``LLMOBS``, and at the environment that fills it."""
    values = project_values()
    try:
        unknown = list(unknown_keys(values))
    except ConfigurationError as error:
        return [
            Error(f"{error}.", hint=f"{NAME} = {{'SINK': …}} in your settings.", id="llmobs.E001")
        ]
    if unknown:
        return [
            Error(f"{NAME}[{key!r}]: there is no such setting.", hint=hint, id="llmobs.E001")
            for key, hint in unknown
        ]
    found = []
    try:
        Options(values)
    except ConfigurationError as error:
        found.append(_wrong(error))
    try:
        wanted = settings_of(values)
    except ConfigurationError as error:
        return [*found, _wrong(error)]
    return [*found, *(_check_sinks(wanted) if wanted.enabled else ())]


def _wrong(error: ConfigurationError) -> CheckMessage:
    return Error(
        f"{NAME}: {error}.",
        hint=f"Names are in lower case here: batch_size is {NAME}['BATCH_SIZE'] in your settings, "
        "or LLMOBS_BATCH_SIZE in the environment.",
        id="llmobs.E002",
    )


def _check_sinks(wanted: Any) -> Iterator[CheckMessage]:
    try:
        sinks = resolve(wanted.sink, wanted)
    except ConfigurationError as error:
        yield Error(
            f"{NAME}['SINK'] cannot be built: {error}.",
            hint="Set another one, or install what it needs.",
            id="llmobs.E003",
        )
        return
    if any(isinstance(sink, MemorySink) for sink in sinks):
        yield Warning(
            f"{NAME}['SINK'] is memory: every process keeps its own events, and loses them at its end.",
            hint="For tests there is `llmobs.testing`; else name a sink that processes can share, "
            "for instance sqlite:///llmobs.db.",
            id="llmobs.W007",
        )


def check_installation(app_configs: Any = None, **kwargs: Any) -> Sequence[CheckMessage]:
    """Look for the middleware in ``MIDDLEWARE``; where the app is missing, that says so in the log."""
    found = []
    count = sum(name in MIDDLEWARES for name in settings.MIDDLEWARE)
    if not count and not any(_is_ours(name) for name in settings.MIDDLEWARE):
        found.append(
            Error(
                "The middleware is missing: requests have no run, and no request.llmobs.",
                hint=f"MIDDLEWARE = ['{MIDDLEWARES[0]}', ...]; first, so that the time of the others counts.",
                id="llmobs.E004",
            )
        )
    elif count > 1:
        found.append(
            Error(
                "The middleware is in MIDDLEWARE twice.",
                hint="Leave the first one.",
                id="llmobs.E005",
            )
        )
    return found


def _is_ours(name: str) -> bool:
    """Tell whether *name* is a class of the project that stands on ours."""
    from django.utils.module_loading import import_string

    from llmobs.contrib.django.middleware import LLMObsMiddleware

    try:
        found = import_string(name)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, LLMObsMiddleware)
