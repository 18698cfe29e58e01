"""Prints, at the end, what arrived under each server and signal."""

from typing import Any

from tests.support.arrivals import note_row, print_table

__all__ = ["note_row"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    print_table(
        terminalreporter, "tests/servers", ("server", "signal", "answered", "arrived/recorded")
    )
