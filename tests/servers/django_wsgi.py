"""Django's application for WSGI servers, as projects have it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.servers.django_site")
application = get_wsgi_application()
