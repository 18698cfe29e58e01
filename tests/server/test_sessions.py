"""Sessions and cookies, as values."""

import pytest

from llmobs.server import sessions
from llmobs.server.sessions import MOST_OF_A_KEY, SESSION_SECONDS, Cookie, Sessions


def test_of_very_many_sessions_of_a_key_the_oldest_ends() -> None:
    found = Sessions()
    others = found.begin("other")
    values = [found.begin("key") for _ in range(MOST_OF_A_KEY + 2)]
    assert [found.find(value) is None for value in values] == [True] * 2 + [False] * MOST_OF_A_KEY
    assert found.find(others) is not None


def test_they_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now)
    found = Sessions()
    value = found.begin("key")
    now += SESSION_SECONDS - 1
    assert found.find(value) is not None
    now += 2
    assert found.find(value) is None


def test_nothing_of_one_server_counts_on_another() -> None:
    one, other = Sessions(), Sessions()
    assert other.find(one.begin("key")) is None
    assert one.form_token("session x") != other.form_token("session x")
    assert one.form_token("session x") == one.form_token("session x") != one.form_token("login x")


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([b"a=1; llmobs-x-80=v; b=2"], "v"),
        ([b"a=1", b"llmobs-x-80=v"], "v"),
        ([b"llmobs-x-80=v;llmobs-x-80=v"], "v"),
        ([b"llmobs-x-80=v", b"llmobs-x-80=w"], None),
        ([b"llmobs-x-80 =v; xllmobs-x-80=v; llmobs-x-8=v"], None),
        ([b"__Host-llmobs-x-80=v"], None),
        ([b"llmobs-x-80"], None),
        ([b"llmobs-x-80=" + b"v" * 9_000], None),
        ([b"\xff=\xfe; llmobs-x-80=v"], "v"),
        ([], None),
    ],
)
def test_reading_cookies(lines: list[bytes], value: str | None) -> None:
    cookie = Cookie.of("x", {"scheme": "http", "server": ("127.0.0.1", 80)})
    headers = [(b"cookie", line) for line in lines]
    assert cookie.value_in([(b"x-cookie", b"llmobs-x-80=no"), *headers]) == value
