"""Keys as the SDKs of this world send them."""

from base64 import b64encode

import pytest

from llmobs.server.credentials import offered

KEY = f"llmobs_{'k7' * 5}_{'aB3z' * 10}"
OTHER = f"llmobs_{'x1' * 5}_{'Zz90' * 10}"


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY} "), ("authorization", f"BEARER {KEY}"),
        ("authorization", KEY),  # Logfire
        ("authorization", basic(f"pk-lf-anything:{KEY}")),  # Langfuse
        ("authorization", basic(f"{KEY}:")), ("authorization", basic(KEY)),  # curl -u KEY:
        ("authorization", basic(f":{KEY}")), ("authorization", basic(f"ключ:{KEY}")),
        ("x-api-key", KEY), ("api-key", KEY), ("api_key", f" {KEY}"),
    ],
)  # fmt: skip
def test_where_a_key_is(name: str, value: str) -> None:
    # ASGI hands header values over as bytes; what is not Latin-1 comes as UTF-8.
    assert offered([(name.encode(), value.encode())]) == {KEY}


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Bearer", b"Bearer ", b"Basic", b"Basic !!!", b"Basic " + b64encode(b"\xff\xfe"), b"Basic OjE6",
        b"\xff" * 50,
        f"Bearer {KEY} {OTHER}".encode(), f"Bearer {KEY},{OTHER}".encode(), f"Digest {KEY}".encode(),
        f"Bearer {KEY}\x00".encode(), f"Bearer {KEY}".replace("a", "\u0430").encode(), b"Bearer sk-lf-" + b"a" * 40,
        b"Bearer " + b"x" * 1_000_000, basic(f"a:{KEY}:{KEY}").encode(), f"Bearer {KEY}".encode() + b" " * 2_000,
    ],
)  # fmt: skip
def test_what_is_no_key(value: bytes) -> None:
    assert offered([(b"authorization", value)]) == set()


def test_several() -> None:
    bearer = (b"authorization", f"Bearer {KEY}".encode())
    assert offered([bearer, (b"x-api-key", KEY.encode())]) == {KEY}, "twice the same is one"
    assert offered([bearer, (b"authorization", b"Bearer other")]) == {KEY}
    assert offered([bearer, (b"authorization", f"Bearer {OTHER}".encode())]) == {KEY, OTHER}
    assert offered([(b"cookie", KEY.encode()), (b"x-key", KEY.encode())]) == set()
