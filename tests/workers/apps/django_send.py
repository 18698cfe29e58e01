"""Sends the tasks in Django."""

import django

django.setup()

from tests.workers.apps import django_app, shop  # noqa: E402

# Django's tasks have no retries.
names = ("record", "broken", "long")
shop.send({name: getattr(django_app, name).enqueue for name in names})
