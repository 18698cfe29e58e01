"""Finds passwords among the arguments of commands that are known to take them there."""

from __future__ import annotations

import re
from typing import Final

from llmobs.redaction.named import closing_quote, is_placeholder
from llmobs.redaction.spans import Span

__all__ = ["find_argument"]

_LONG: Final = 1_024
_SHORT: Final = 256
"""Characters between the command and its password: of `curl`, of others."""
_NEAREST: Final = 3
"""So many times a command's name is looked for: a database may be called like its program."""
_REST: Final = r"(?:\.exe)?(?: [^|;&\n]*)?$"
# The flag; whether a blank follows it; how the command begins, and what may be from there to the flag.
_TABLE: Final = (
    ("u", True, "curl", r"(?:[^\n]|\n(?!\n))*$"),
    ("p", False, "mysql", r"(?!d\b)\w*" + _REST),
    ("p", False, "mariadb", r"(?!d\b)[\w-]*" + _REST),
    ("p", False, "7z", "[az]?" + _REST),
    ("p", False, "sshpass", "(?: -v)?$"),  # what follows may be "ssh -p22"
    ("p", True, "sshpass", "(?: -v)?$"),
    ("p", True, "mongo", r"(?!d\b|s\b)\w*" + _REST),
    ("p", True, "docker login", _REST),
    ("p", True, "podman login", _REST),
    ("p", True, "registry login", _REST),
    ("P", True, "sqlcmd", _REST),
    ("P", True, "mosquitto_", r"\w+" + _REST),
    ("P", True, "zip", _REST),
    ("P", True, "unzip", _REST),
    ("a", True, "redis-cli", _REST),
)
_TAKERS: Final[dict[tuple[str, bool], list[tuple[str, re.Pattern[str]]]]] = {}
for _flag, _spaced, _word, _rest in _TABLE:
    _command = re.compile(rf"\b{re.escape(_word)}{_rest}")
    _TAKERS.setdefault((_flag, _spaced), []).append((_word, _command))
_PASSWORD = re.compile(r"(\\{0,8}[\"'])?([^\s\"'\\|;&<>()]{1,256})")
_LOGIN = re.compile(r"(\\{0,8}[\"'])?[^\s:\"'\\]{1,64}:([^\s\"'\\]{1,256})")


def find_argument(text: str, here: int, spans: list[Span]) -> None:
    """Append to ``spans`` the password behind the flag whose last dash is at ``here``."""
    flag = text[here + 1]
    dash = here
    if text.startswith("-user ", here):
        dash, flag, behind = here - 1, "u", here + 6
    else:
        behind = here + 2
    spaced = text[behind : behind + 1] == " " or flag == "u"
    takers = _TAKERS.get((flag, spaced))
    if takers is None:
        return
    before = text[max(0, dash - (_LONG if flag == "u" else _SHORT)) : dash].rstrip(" ")
    if not any(_is_before(word, command, before) for word, command in takers if word in before):
        return
    at = behind + (text[behind : behind + 1] == " ")
    found = (_LOGIN if flag == "u" else _PASSWORD).match(text, at)
    if found is None or is_placeholder(found[2]):
        return
    end = closing_quote(text, found.start(2), found[1]) if found[1] else -1
    spans.append(Span(found.start(2), max(end, found.end()), "secret", "named"))


def _is_before(word: str, command: re.Pattern[str], before: str) -> bool:
    at = len(before)
    for _ in range(_NEAREST):
        at = before.rfind(word, 0, at)
        if at < 0:
            return False
        if command.match(before, at):
            return True
    return False
