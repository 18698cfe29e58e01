"""Reads the size of an attached picture, and says what it costs in tokens."""

import base64
import binascii
import math
import struct

_UNKNOWN = (1024, 1024)  # what a picture behind a link, or in a format not read here, counts as


def size(data: str) -> tuple[int, int]:
    """Width and height in pixels of base64 PNG or GIF data (a `data:` URL will do)."""
    try:
        head = base64.b64decode(data.partition("base64,")[2][:64] or data[:64])
    except binascii.Error:
        return _UNKNOWN
    if head.startswith(b"\x89PNG") and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith(b"GIF8") and len(head) >= 10:
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    return _UNKNOWN


def openai_tokens(url: str, detail: str) -> int:
    """The published tile rule of the GPT-4o family: 85, and 170 per tile of 512 pixels."""
    if detail == "low":
        return 85
    width, height = size(url) if url.startswith("data:") else _UNKNOWN
    scale = min(1.0, 2048 / max(width, height, 1))
    scale = min(scale, 768 / max(min(width, height), 1))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return 85 + 170 * tiles


def anthropic_tokens(source: dict[str, str]) -> int:
    """Anthropic's published rule: pixels divided by 750, after scaling to 1568 a side."""
    width, height = size(source.get("data", "")) if source.get("type") == "base64" else _UNKNOWN
    scale = min(1.0, 1568 / max(width, height, 1))
    return max(1, math.ceil(width * scale * height * scale / 750))
