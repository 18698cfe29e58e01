"""Pictures at every depth become their kind and size; what only looks like one stays."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs.recorded.media import size_of_base64, without_media

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 200).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + b"\1" * 200).decode()
PDF = base64.b64encode(b"%PDF-1.7" + b"\2" * 200).decode()
SEALED = base64.b64encode(bytes(range(256))).decode()
LINES = base64.encodebytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 200).decode().rstrip()
PEM = "\r\n".join(PNG[at : at + 64] for at in range(0, len(PNG), 64))
SHOWN = f"[image/png, {8 + 200} bytes]"


@pytest.mark.parametrize(
    ("value", "light"),
    [
        (f"data:image/png;base64,{PNG}", SHOWN),
        ("data:image/png;base64,iVBORw0KGgo=", "[image/png, 8 bytes]"),
        ("data:image/svg+xml,%3Csvg%3E", "[image/svg+xml, 9 bytes]"),
        ("data:image/png;charset=x;base64," + PNG, SHOWN),
        (PNG, SHOWN),
        (LINES, SHOWN),
        (f"data:image/png;base64,{LINES}", SHOWN),
        (f"data:image/png;base64,\n{LINES}\n", SHOWN + "\n"),
        (f"data:image/png;base64,{PEM}", SHOWN),
        (f"Look: ![it](data:image/png;base64,{PEM}) nice", f"Look: ![it]({SHOWN}) nice"),
        (f"data:image/png;base64,{LINES}\nWhat is it?", SHOWN + "\nWhat is it?"),
        (f"data:image/png;base64,{PNG}\nHello", SHOWN + "\nHello"),
        (
            {"type": "base64", "media_type": "image/png", "data": LINES},
            {"type": "base64", "media_type": "image/png", "data": SHOWN},
        ),
        (f"Look: ![it](data:image/png;base64,{PNG}) nice", f"Look: ![it]({SHOWN}) nice"),
        (json.dumps({"a": {"data": PNG}}), json.dumps({"a": {"data": SHOWN}})),
        (JPEG, "[image/jpeg, 204 bytes]"),
        (base64.urlsafe_b64encode(base64.b64decode(JPEG)).decode(), "[image/jpeg, 204 bytes]"),
        (PDF, "[application/pdf, 208 bytes]"),
        (b"\x89PNG", "[binary, 4 bytes]"),
        # OpenAI's computer use, Anthropic's, Gemini's, Bedrock's, LangChain's.
        (
            {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"},
            {"type": "computer_screenshot", "image_url": SHOWN},
        ),
        (
            {"source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"source": {"type": "base64", "media_type": "image/png", "data": SHOWN}},
        ),
        (
            {"inlineData": {"mimeType": "video/x", "data": SEALED}},
            {"inlineData": {"mimeType": "video/x", "data": "[video/x, 256 bytes]"}},
        ),
        (
            {"image": {"format": "png", "source": {"bytes": SEALED}}},
            {"image": {"format": "png", "source": {"bytes": "[binary, 256 bytes]"}}},
        ),
        (
            {"type": "image", "base64": SEALED, "mime_type": "image/webp"},
            {"type": "image", "base64": "[image/webp, 256 bytes]", "mime_type": "image/webp"},
        ),
        ({"encrypted_content": SEALED}, {"encrypted_content": "[encrypted_content, 256 bytes]"}),
        ({"signature": SEALED}, {"signature": "[signature, 256 bytes]"}),
        ({"data": [{"b64_json": PNG}]}, {"data": [{"b64_json": SHOWN}]}),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2, 5, 60])
def test_kind_and_size_stand_for_it(value: Any, light: Any, depth: int) -> None:
    for level in range(depth):
        value, light = ([value], [light]) if level % 2 else ({"a": value}, {"a": light})
    assert without_media(value) == light
    assert without_media(light) == light


@pytest.mark.parametrize(
    "value",
    [
        "x" * 40_000,
        "A" * 500,
        SEALED,
        {"data": SEALED},
        {"data": "Dear Sir, " * 20, "format": "text"},
        {"signature": "Best regards, Bob. " * 9},
        {"bytes": 5, "format": None},
        "data: hello, this is a stream",
        "the word data:image/png;base64, and no more",
        "/9j/ is how they begin, and iVBORw0KGgo too" * 9,
        {"url": "https://a.test/iVBORw0KGgo.png"},
        None,
        1.5,
        [],
    ],
)
def test_what_only_looks_like_it_stays(value: Any) -> None:
    assert without_media(value) == value


@given(st.binary(max_size=99), st.binary(max_size=99))
def test_sizes(first: bytes, second: bytes) -> None:
    both = base64.b64encode(first).decode() + base64.b64encode(second).decode()
    assert size_of_base64(both) == len(first) + len(second)


def test_deep_values_end() -> None:
    value: Any = f"data:image/png;base64,{PNG}"
    for _ in range(900):
        value = [value]
    assert type(without_media(value)) is list
