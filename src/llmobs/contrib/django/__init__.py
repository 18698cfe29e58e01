"""
The door for Django, sync and async: ``INSTALLED_APPS``, ``MIDDLEWARE`` and ``LLMOBS`` in the settings.

``request.llmobs`` is the `Tracker` of a request; `llmobs.contrib.django.asgi` has the application for
ASGI servers.
"""

from llmobs.contrib.django.middleware import LLMObsMiddleware

__all__ = ["LLMObsMiddleware"]
