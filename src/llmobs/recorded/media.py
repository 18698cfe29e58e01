"""
Pictures, sounds, documents and sealed content inside values: their kind and size stand for them.

They are known by what says so itself: a ``data:`` URL, the first bytes of a well-known format in
base64, or a member whose name or whose neighbours (``media_type``, ``format``) declare it. A long
text that only looks like base64 stays.
"""

import re
from typing import Any, Final

__all__ = ["size_of_base64", "without_media"]

MAX_DEPTH: Final = 200
"""Deeper values are returned as they are."""

LEAST: Final = 16
"""Characters of a text that may be more than one."""
_LINES: Final = r"(?:\r?\n[\w+/-]{60,80})+(?:\r?\n[\w+/-]{1,80})?={0,2}(?![\w+/=-])"
"""Base64 that goes on in lines as MIME (76 characters) and PEM (64) have them; the last is shorter."""
_DATA_URL: Final = re.compile(
    r"data:(?P<kind>[\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,"
    rf"(?P<data>[\w+/-]{{0,80}}{_LINES}|[\w+/=%-]+)",
    re.ASCII,
)
_PLAIN_URL: Final = re.compile(r"data:((?:image|audio|video)/[\w.+-]+)[;,]", re.ASCII)
_MAGIC: Final = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "_9j_": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp or audio/wav",
    "JVBERi0": "application/pdf",
    "SUQz": "audio/mpeg",
    "T2dnUw": "audio/ogg",
    "GkXfo": "video/webm",
    "ZnR5c": "video/mp4",
}
"""How well-known formats begin in base64."""
_RARE: Final = tuple((word, next(c for c in "XQZJUVKG9" if c in word)) for word in _MAGIC)
"""With a character that is rare in prose, and found much sooner."""
_RUN: Final = re.compile(
    rf"(?<![\w+/=-])(?P<kind>{'|'.join(re.escape(word) for word in _MAGIC)})"
    rf"(?:[\w+/-]{{120,}}=*|[\w+/-]{{40,80}}{_LINES})",
    re.ASCII,
)
_BASE64: Final = re.compile(r"[\w+/-]{48,}=*", re.ASCII)
_BINARY: Final = frozenset(
    {
        "b64_json",
        "base64",
        "file_data",
        "fileData",
        "image_bytes",
        "imageBytes",
        "partial_image_b64",
    }
    | {"bytes", "video_bytes", "videoBytes", "audio_bytes", "audioBytes"}
)
"""Members that hold base64 and nothing else."""
_SEALED: Final = frozenset(
    {"encrypted_content", "encrypted_index", "encrypted_stdout", "signature", "thought_signature"}
    | {"thoughtSignature", "redacted_thinking"}
)
"""Members that only the provider can read."""
_DECLARING: Final = ("media_type", "mime_type", "mimeType", "mediaType", "format")


def without_media(value: Any, _depth: int = 0) -> Any:
    """Return *value*, made of JSON types, with kind and size in place of what is binary, at any depth."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if _depth > MAX_DEPTH:
        return value
    deeper = _depth + 1
    if kind is dict:
        return {
            key: without_media(inner, deeper)
            if type(inner) is not str
            else inner
            if len(inner) < LEAST
            else _declared(key, inner, value)
            for key, inner in value.items()
        }
    if kind is list:
        return [without_media(inner, deeper) for inner in value]
    if kind is bytes:
        return f"[binary, {len(value)} bytes]"
    return value


def size_of_base64(text: str) -> int:
    """
    Return how many bytes *text* encodes; it may be several texts, each with its padding, and
    broken into lines.
    """
    breaks = text.count("\n") + text.count("\r")
    return (len(text) - breaks) * 3 // 4 - text.count("=")


def _text(text: str) -> str:
    """Return *text* with what is binary in it named."""
    if len(text) < LEAST:
        return text
    if "data:" in text:
        if (plain := _PLAIN_URL.match(text)) and ";base64," not in text[:200]:
            return _named(plain[1], len(text) - plain.end())
        if ";base64," in text:
            text = _DATA_URL.sub(lambda url: _named(url["kind"], size_of_base64(url["data"])), text)
    if len(text) > 120:
        for word, rare in _RARE:
            if rare in text and word in text:
                name = lambda run: _named(_MAGIC[run["kind"]], size_of_base64(run[0]))  # noqa: E731
                return _RUN.sub(name, text)
    return text


def _declared(name: str, text: str, owner: dict[str, Any]) -> str:
    """Return a member of *owner* whose name, or whose neighbours, may say what it is."""
    if len(text) < 48:
        return _text(text)
    if name in _SEALED and _is_base64(text):
        return _named(name, size_of_base64(text))
    if name in _BINARY or name == "data":
        declared = next((owner[key] for key in _DECLARING if type(owner.get(key)) is str), None)
        is_binary = name in _BINARY or declared or owner.get("type") == "base64"
        if is_binary and _is_base64(text):
            return _named(declared or _kind(text), size_of_base64(text))
    return _text(text)


def _is_base64(text: str) -> bool:
    return _BASE64.fullmatch(text[:4096].replace("\r", "").replace("\n", "")) is not None


def _kind(text: str) -> str:
    return next((kind for word, kind in _MAGIC.items() if text.startswith(word)), "binary")


def _named(kind: str, size: int) -> str:
    return f"[{kind}, {size} bytes]"
