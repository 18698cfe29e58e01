"""The app's configuration: registers the system checks, and starts nothing."""

from django.apps import AppConfig

from llmobs.client.sync_client import provide_default_client
from llmobs.contrib.django.checks import register_checks
from llmobs.contrib.django.project import project_client

__all__ = ["LLMObsConfig"]


class LLMObsConfig(AppConfig):
    """``INSTALLED_APPS = [..., "llmobs.contrib.django"]``."""

    name = "llmobs.contrib.django"
    label = "llmobs"
    verbose_name = "llmobs"

    def ready(self) -> None:
        """Register the checks, and say whose settings code outside any request uses."""
        register_checks()
        provide_default_client(project_client)
