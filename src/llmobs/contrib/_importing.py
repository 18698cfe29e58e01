"""To be told when a module is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from llmobs.runtime.troubles import internal_errors

__all__ = ["Imports"]

Then = Callable[[ModuleType], object]


class Imports:
    """What one door waits for."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Then]] = []

    def when(self, name: str, then: Then) -> None:
        """
        Call *then* with the module *name*: now if it is imported already, else once it is.

        What goes wrong in it is reported, never raised.
        """
        if module := sys.modules.get(name):
            _tell(then, module)
            return
        self._waiting.append((name, then))
        _finder.waiting.setdefault(name, []).append(then)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)

    def forget(self) -> None:
        """Wait no longer."""
        for name, then in self._waiting:
            others = _finder.waiting.get(name, [])
            if then in others:
                others.remove(then)
            if not others:
                _finder.waiting.pop(name, None)
        self._waiting.clear()
        if not _finder.waiting and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)


def _tell(then: Then, module: ModuleType) -> None:
    with internal_errors(f"instrument {module.__name__}"):
        then(module)


class _Finder(MetaPathFinder):
    """Lets the other finders find, and looks at what is waited for."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Then]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.waiting:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


_finder: Final = _Finder()


class _Loader(Loader):
    """Loads as another loader does, then tells; the module itself knows only that other one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._inner.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        for then in _finder.waiting.pop(module.__name__, []):
            _tell(then, module)
