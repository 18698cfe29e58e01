"""A local model server: OpenAI's and Anthropic's wire, a scripted model, faults on demand."""

from .app import create_app

__all__ = ["create_app"]
