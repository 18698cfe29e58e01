"""
What pydantic says of settings: what it makes of their values, and what is wrong with them.

It takes a third of a second to import, so `llmobs.settings` asks it only about what is not plainly
right: a wrong value, one of another type, JSON, a ``.env`` file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from msgspec import Meta
from pydantic import AliasChoices, Field, ValidationError, create_model, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from llmobs.errors import ConfigurationError
from llmobs.recorded.printable import brief
from llmobs.recorded.values import readable

__all__ = ["validated"]

Validator = Callable[[Any], Any]


def validated(
    fields: Mapping[str, tuple[Any, Any]],
    validators: Mapping[str, Validator],
    values: Mapping[str, Any],
    *,
    env_file: Path | str | None,
    prefix: str,
    variables: Mapping[str, str],
    secret: frozenset[str],
) -> dict[str, Any]:
    """
    Return what is set, by *values* or in the environment, as it is to be used.

    Args:
        fields: Type and default of each setting; what bounds it is a `Meta`.
        validators: What is to be made of a value once it has its type.
        values: What is given.
        env_file: A file of variables, for what is in no variable of the environment.
        prefix: What names of environment variables begin with.
        variables: A further variable of a setting, by its name.
        secret: Settings whose value no message may show.

    Raises:
        ConfigurationError: A value is wrong; the message names each, and what would be right.
    """

    class Base(BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=prefix,
            env_file=env_file,
            frozen=True,
            extra="forbid",
            arbitrary_types_allowed=True,
            populate_by_name=True,
            allow_inf_nan=False,
            # Secrets must not reach a traceback through pydantic's own messages.
            hide_input_in_errors=True,
            env_ignore_empty=True,
        )

    declared: dict[str, Any] = {
        name: (_annotation(hint, prefix, name, variables.get(name)), default)
        for name, (hint, default) in fields.items()
    }
    checks: dict[str, Any] = {
        f"check_{name}": field_validator(name, mode="after")(check)
        for name, check in validators.items()
    }
    model = create_model("Settings", __base__=Base, __validators__=checks, **declared)
    try:
        found = model(**values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, values, prefix, secret)) from None
    except SettingsError as error:
        raise ConfigurationError(
            f"an environment variable {prefix}* is not readable: {error}"
        ) from None
    return {name: getattr(found, name) for name in found.model_fields_set}


def _annotation(hint: Any, prefix: str, name: str, variable: str | None) -> Any:
    """Return *hint* with its bounds in pydantic's words."""
    bounds: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        for meta in metas:
            if isinstance(meta, Meta):
                for word in ("ge", "gt", "le", "lt", "min_length"):
                    if getattr(meta, word) is not None:
                        bounds[word] = getattr(meta, word)
    if variable is not None:
        bounds["validation_alias"] = AliasChoices(f"{prefix}{name.upper()}", variable)
    return Annotated[hint, Field(**bounds)] if bounds else hint


def _explain(
    error: ValidationError, keywords: Mapping[str, Any], prefix: str, secret: frozenset[str]
) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        name = name.removeprefix(prefix).lower()
        words = _words(problem["msg"])
        if name:
            inner = "".join(f"[{part!r}]" for part in problem["loc"][1:] if isinstance(part, str))
            if name not in keywords:
                lines.append(
                    f"{name}{inner} (environment variable {prefix}{name.upper()}): {words}"
                )
            elif name in secret or inner:
                lines.append(f"{name}{inner}: {words}")
            else:
                lines.append(f"{name}={brief(readable(keywords[name]), 100)}: {words}")
        else:
            lines.append(words)
    return "; ".join(lines)


def _words(message: str) -> str:
    if message.startswith("Input should be a valid boolean"):
        return "must be a boolean: true or false"
    return message.removeprefix("Value error, ")
