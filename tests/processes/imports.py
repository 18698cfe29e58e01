"""
Which modules the package's threads import while they deliver, and whether a fork would wait.

A child forked in the middle of an import has half a module, and waits for the rest for ever.
"""

import sys
import threading
from typing import Any

import llmobs
from llmobs.runtime.forks import ForkLock

guarded: set[int] = set()
imports: list[tuple[bool, str]] = []
_enter, _leave = ForkLock.__enter__, ForkLock.__exit__


def enter(self: ForkLock) -> ForkLock:
    _enter(self)
    guarded.add(threading.get_ident())
    return self


def leave(self: ForkLock, *error: Any) -> None:
    guarded.discard(threading.get_ident())
    _leave(self, *error)


def note(event: str, arguments: tuple[Any, ...]) -> None:
    thread = threading.current_thread()
    if event == "import" and thread is not threading.main_thread():
        imports.append((thread.ident in guarded, f"{thread.name}: {arguments[0]}"))


if __name__ == "__main__":
    ForkLock.__enter__ = enter  # type: ignore[method-assign]
    ForkLock.__exit__ = leave  # type: ignore[method-assign]
    sys.addaudithook(note)
    with llmobs.Client() as client:
        client.log_prompt_call("run", "ask a@b.example", "gpt-4o", "yes", 3, 4)
        client.log_error("run", ValueError("broken"))
        client.flush()
    for held, what in imports:
        sys.stdout.write(f"{'guarded' if held else 'OPEN'} {what}\n")
