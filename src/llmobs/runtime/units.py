"""Sizes, times and rates as people write them: ``20GB``, ``30d``, ``100/s``."""

import re
from datetime import timedelta
from typing import Final

from llmobs.errors import ConfigurationError

__all__ = ["age_of", "bytes_of", "in_words", "rate_of"]

_AGE: Final = re.compile(r"(\d{1,6})\s*([mhdw])", re.ASCII)
_MINUTES: Final = {"m": 1, "h": 60, "d": 1440, "w": 10_080}
_SIZE: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
_RATE: Final = re.compile(r"(\d{1,7})\s*/\s*(s|m)", re.ASCII)


def age_of(text: str, setting: str) -> timedelta:
    """
    Read ``45m``, ``12h``, ``30d`` or ``8w``.

    Args:
        text: What is given.
        setting: What it is called, for the message.

    Raises:
        ConfigurationError: It is something else.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise ConfigurationError(
            f"{setting}: {text!r} is no age: write 12h, 30d or 8w (minutes m, hours h, days d, weeks w)"
        )
    return timedelta(minutes=int(match[1]) * _MINUTES[match[2]])


def bytes_of(text: str, setting: str) -> int:
    """
    Read ``500MB``, ``5GB``, ``2GiB`` or a number of bytes; units are decimal where no ``i`` says binary.

    Args:
        text: What is given.
        setting: What it is called, for the message.

    Raises:
        ConfigurationError: It is something else, or nothing.
    """
    if match := _SIZE.fullmatch(text.strip()):
        power = " kmgt".index(match[2].lower() or " ")
        size = round(float(match[1]) * (1024.0 if match[3] else 1000.0) ** power)
        if size > 0 and not (match[3] and not power):
            return size
    raise ConfigurationError(f"{setting}: {text!r} is no size: write 500MB, 5GB or 2GiB")


def rate_of(text: str, setting: str) -> float:
    """
    Read ``100/s`` or ``600/m``: requests a second.

    Args:
        text: What is given.
        setting: What it is called, for the message.

    Raises:
        ConfigurationError: It is something else, or none at all.
    """
    match = _RATE.fullmatch(text.strip().lower())
    if match is None or not int(match[1]):
        raise ConfigurationError(f"{setting}: {text!r} is no rate: write 100/s or 600/m")
    return int(match[1]) / (1 if match[2] == "s" else 60)


def in_words(number: int) -> str:
    """Return *number* of bytes in words."""
    if number < 1000:
        return f"{number:,} bytes"
    value: float = number
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000 or unit == "TB":
            break
    return f"{value:,.3g} {unit}"
