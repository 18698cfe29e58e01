"""``manage.py llmobs …``: the command line, on the project's settings."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from llmobs.contrib.django.project import NAME, OWN, project_values, settings_of, unknown_keys
from llmobs.errors import ConfigurationError

__all__ = ["Command"]


class Command(BaseCommand):
    """Hands its arguments to the command ``llmobs``."""

    help = (
        "Look at what this project has recorded; as the command llmobs, on the project's settings."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's

    def run_from_argv(self, argv: list[str]) -> None:
        """Run with the arguments of the shell, which are not Django's to read: ``--help`` too."""
        words = argv[2:]
        for name in ("--settings", "--pythonpath"):  # Django has read them already
            if name in words:
                at = words.index(name)
                del words[at : at + 2]
            words = [word for word in words if not word.startswith(f"{name}=")]
        try:
            raise SystemExit(self.handle(*words))
        except CommandError as error:
            self.stderr.write(f"llmobs: {error}")
            raise SystemExit(2) from None

    def add_arguments(self, parser: Any) -> None:
        """Take any: ``call_command("llmobs", "runs", "--json")``."""
        parser.add_argument("words", nargs="*")

    def handle(self, *words: str, **options: Any) -> int:
        """Return the exit code of the command line."""
        try:
            export_settings()
        except ConfigurationError as error:
            raise CommandError(str(error)) from None
        try:
            from llmobs.cli.app import llmobs
        except ImportError as error:
            raise CommandError(f"{error.name} is missing: pip install 'llmobs[cli]'") from None
        arguments = [*words, *options.get("words", ())]
        try:
            llmobs.main(args=arguments, prog_name=f"{os.path.basename(sys.argv[0])} llmobs")
        except SystemExit as end:
            return int(end.code or 0)
        return 0


def export_settings() -> None:
    """
    Put the project's ``LLMOBS`` into the environment, where the command line looks.

    Raises:
        ConfigurationError: It is wrong.
    """
    values = project_values()
    for key, hint in unknown_keys(values):
        raise ConfigurationError(f"{NAME}[{key!r}]: no such setting. {hint}")
    settings_of(values)
    for key, value in (values or {}).items():
        if key not in OWN and (text := _text(value)) is not None:
            os.environ[f"LLMOBS_{key}"] = text


def _text(value: Any) -> str | None:
    """Return *value* as a variable of the environment; None for what only code can say."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | os.PathLike):
        return str(value)
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    return None
