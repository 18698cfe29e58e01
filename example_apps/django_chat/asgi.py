"""The site: `uvicorn example_apps.django_chat.asgi:application`."""

import os

from llmobs.contrib.django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_apps.django_chat.settings")

application = get_asgi_application()
