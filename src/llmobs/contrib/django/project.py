"""
What ``settings.LLMOBS`` says, and the client of this process that it asks for.

Read when needed and not before, and again when the setting is another one: ``override_settings``
works. The environment fills what the setting leaves open.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings

from llmobs.client.sync_client import Client
from llmobs.contrib._doors import instrument
from llmobs.contrib._web.options import Exclusions, header_of, switch_of, trust_of
from llmobs.contrib._web.origin import Origin
from llmobs.contrib._web.unattended import UnattendedClient, close_aside
from llmobs.errors import ConfigurationError
from llmobs.recorded.printable import brief, quoted
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import Troubles
from llmobs.settings import NAMES, Settings

__all__ = [
    "Options",
    "Project",
    "current_project",
    "permission_of",
    "project_client",
    "settings_of",
    "unknown_keys",
]

APP: Final = "llmobs.contrib.django"
NAME: Final = "LLMOBS"
PERMISSION: Final = "VIEWER_PERMISSION"
OWN: Final = (
    "CAPTURE",
    "EXCLUDE",
    "HEADER_NAME",
    "RECORD_EMPTY",
    "TRUST_RUN_ID",
    "USER_ID",
    PERMISSION,
)
"""Keys that are the middleware's own; all others are fields of `llmobs.Settings` in capitals."""

UserId = str | Callable[[Any], Any] | None

_troubles = Troubles()


def project_values() -> Any:
    """Return the project's ``LLMOBS`` as it is now; an empty one if there is none."""
    return getattr(settings, NAME, None)


def unknown_keys(values: Any) -> Iterator[tuple[str, str]]:
    """
    Yield each key of ``LLMOBS`` that does not exist, with a hint.

    Raises:
        ConfigurationError: It is no mapping.
    """
    known = [*OWN, *(name.upper() for name in NAMES)]
    for key in _mapping(values):
        if key not in known:
            text = brief(str(key), 100)
            near = get_close_matches(text.upper(), known, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            yield text, f"{meant}The keys are {', '.join(known)}."


def _mapping(values: Any) -> Mapping[Any, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigurationError(
            f"{NAME} must be a dict, for instance {{'SINK': 'sqlite:///llmobs.db'}}, "
            f"not {type(values).__name__}"
        )
    return values


def settings_of(values: Any) -> Settings:
    """
    Return the client's settings: what *values* says, and the environment for the rest.

    Raises:
        ConfigurationError: A value is wrong.
    """
    given = {key.lower(): value for key, value in _mapping(values).items() if key not in OWN}
    return Settings(**given)


class Options:
    """
    What the middleware is told beside its client's settings.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(self, values: Any) -> None:
        given = _mapping(values)
        self.capture = switch_of("capture", given.get("CAPTURE", False))
        header = header_of(given.get("HEADER_NAME", "x-run-id"))
        self.header = header
        self.exclude = given.get("EXCLUDE")
        self.exclusions = Exclusions(self.exclude)
        self.record_empty = switch_of("record_empty", given.get("RECORD_EMPTY", False))
        self.user_id = _user_id_of(given.get("USER_ID"))
        permission_of(values)  # the viewer's, which asks for it itself
        self.trust = trust_of(given.get("TRUST_RUN_ID", False), "the request")
        self.origin = Origin(header, self.trust, _meta_key)


def _meta_key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def permission_of(values: Any) -> str | None:
    """
    Return the permission of those who may see the mounted viewer; None: whoever is staff may.

    Raises:
        ConfigurationError: It is none.
    """
    value = _mapping(values).get(PERMISSION)
    if value is None or (isinstance(value, str) and all(value.partition("."))):
        return value
    raise ConfigurationError(
        f"viewer_permission: {quoted(value)} is no permission; name one as 'app_label.codename'"
    )


def _user_id_of(value: Any) -> UserId:
    if value is None or value == "pk" or callable(value):
        found: UserId = value
        return found
    raise ConfigurationError(
        f"user_id: {quoted(value)} is neither 'pk' nor a function that takes the request"
    )


class Project:
    """
    The settings as they were when it was made, and the client they ask for.

    Args:
        values: The project's ``LLMOBS``.
    """

    def __init__(self, values: Any) -> None:
        self.values = values
        self.problem: ConfigurationError | None = None
        """What is wrong with the settings; then nothing is recorded, and no request is stopped."""
        self.has_lifespan = False
        """Whether a server's lifespan has the client; else, under ASGI, requests wait for it."""
        try:
            for key, hint in unknown_keys(values):
                raise ConfigurationError(f"{NAME}[{key!r}]: no such setting. {hint}")
            self.options = Options(values)
            self.client = Client(settings_of(values))
            if self.options.capture:
                instrument()
        except ConfigurationError as error:
            self.problem = error
            self.options = Options(None)
            self.client = Client(Settings.disabled())
        self.unattended = UnattendedClient(self.client)

    def say(self) -> None:
        """Log what is wrong, once in a while."""
        _troubles.log(
            "misconfigured",
            "llmobs: nothing is recorded: %s",
            self.problem,
            level=logging.ERROR,
        )


_project: Project | None = None
_building = ForkLock()


def current_project() -> Project:
    """Return the project's settings and client; made when first needed, and when the setting has changed."""
    global _project
    values = project_values()
    project = _project
    if project is not None and project.values is values:
        return project
    with _building:
        before = _project
        if before is not None and before.values is values:
            return before
        _project = project = Project(values)
    if before is not None:
        close_aside(before.client)
    return project


def project_client() -> Client:
    """Return the client of this process; one that records nothing if the settings are wrong."""
    project = current_project()
    if project.problem is not None:
        project.say()
    return project.client
