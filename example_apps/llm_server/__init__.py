"""A local model server: the wires of many providers, a scripted model, faults on demand."""

from .app import create_app

__all__ = ["create_app"]
