"""Brokers for the queues, one of each per session; and the table of what arrived."""

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.arrivals import note_row, print_table
from tests.support.debian import Unavailable
from tests.support.queue_servers import DATABASES, postgres_server, redis_server

__all__ = ["note_row"]

_numbers = itertools.cycle(range(1, DATABASES))


@pytest.fixture(scope="session")
def redis_of_session() -> Iterator[str]:
    try:
        with redis_server() as url:
            yield url
    except Unavailable as why:
        pytest.skip(f"no Redis: {why}")


@pytest.fixture(scope="session")
def postgres_of_session() -> Iterator[str]:
    try:
        with postgres_server() as info:
            yield info
    except Unavailable as why:
        pytest.skip(f"no PostgreSQL: {why}")


@pytest.fixture
def redis(redis_of_session: str) -> str:
    """An empty database of the session's Redis."""
    return redis_of_session.removesuffix("0") + str(next(_numbers))


@pytest.fixture
def postgres(postgres_of_session: str) -> str:
    """An empty database of the session's PostgreSQL."""
    name = f"test{next(_numbers)}"
    with psycopg.connect(postgres_of_session, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return postgres_of_session.replace("dbname=postgres", f"dbname={name}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    print_table(terminalreporter, "tests/workers", ("library", "how", "exit", "arrived/recorded"))
