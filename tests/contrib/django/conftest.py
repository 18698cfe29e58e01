"""Django is set up once, for the tests of its door, and says nothing to those of others."""

from collections.abc import Iterator

import pytest

pytest.importorskip("django")

from llmobs.client import sync_client
from llmobs.contrib.django import project
from tests.contrib.django.site import configure

configure()
sync_client.provide_default_client(None)


@pytest.fixture(autouse=True)
def the_projects_own_client() -> Iterator[None]:
    """As in a project: its client is the process's default; it is another one for each test."""
    sync_client.provide_default_client(project.project_client)
    yield
    sync_client.provide_default_client(None)
    if project._project is not None:
        project._project.client.close()
    project._project = None
