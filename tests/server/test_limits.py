"""Rates: what may come at once, what comes back, and that memory stays bounded."""

import time

import pytest

from llmobs.server.limits import Limit, neighbourhood


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_burst_and_then_the_rate(clock: list[float]) -> None:
    limit = Limit(2.0, 3.0)
    assert [limit.acquire("a") for _ in range(3)] == [0, 0, 0]
    assert limit.acquire("a") == pytest.approx(0.5)
    assert limit.acquire("b") == 0, "others are not concerned"
    clock[0] += 0.25
    assert limit.acquire("a") == pytest.approx(0.25), "asking in vain costs nothing"
    clock[0] += 0.25
    assert limit.acquire("a") == 0
    clock[0] += 3600
    assert [limit.acquire("a") for _ in range(3)] == [0, 0, 0]
    assert limit.acquire("a") > 0


def test_the_clock_on_the_wall_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(1.0, 1.0)
    assert limit.acquire("a") == 0
    for moment in (0.0, 1e12, -1e9):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        assert 0 < limit.acquire("a") <= 1


def test_a_million_addresses_take_the_room_of_some(clock: list[float]) -> None:
    limit = Limit(1.0, 1.0, most=100)
    for number in range(5_000):
        assert limit.acquire(f"10.0.{number}") == 0
        assert limit.acquire("busy") == 0 or number
    assert len(limit) <= 100


def test_who_is_behind_an_address() -> None:
    assert neighbourhood("10.0.0.7") == "10.0.0.7"
    assert (
        neighbourhood("2001:db8:1:2:3::4")
        == neighbourhood("2001:db8:1:2:ffff::1")
        == "2001:db8:1:2::/64"
    )
    assert neighbourhood("2001:db8:1:3::1") != neighbourhood("2001:db8:1:2::1")
    assert neighbourhood("::ffff:10.0.0.7") == "10.0.0.7"
    for odd in ("", "unix:", "x" * 10_000, "10.0.0.7\r\n", "fe80::1%eth0"):
        assert len(neighbourhood(odd)) < 50
