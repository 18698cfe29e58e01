"""One collector for a module, with a store of its own."""

from tests.server.conftest import collector, store

__all__ = ["collector", "store"]
