"""``path("llmobs/", include("llmobs.contrib.django.urls"))``: the viewer, for whom the project lets see it."""

from django.core.exceptions import ImproperlyConfigured
from django.urls import path, register_converter
from django.urls.converters import PathConverter

from llmobs.contrib._web.viewing import check_packages
from llmobs.errors import MissingExtraError

try:
    check_packages()
except MissingExtraError as error:
    raise ImproperlyConfigured(f"llmobs.contrib.django.urls: {error}") from None

from llmobs.contrib.django.viewer import news, page_view, rate, static, stream
from llmobs.viewer.pages import PAGES

__all__ = ["app_name", "urlpatterns"]

app_name = "llmobs"
"""``{% url "llmobs:overview" %}``, ``{% url "llmobs:run" run_id %}``."""


class AnyText(PathConverter):
    """An id, which may have slashes and lines."""

    regex = "(?s:.+)"


register_converter(AnyText, "llmobs_any")

urlpatterns = [
    *(
        path(
            page.path.removeprefix("/").replace("{", "<llmobs_any:").replace("}", ">"),
            page_view(page),
            name=page.draw.__name__.removesuffix("_page"),
        )
        for page in PAGES
    ),
    path("feedback", rate, name="feedback"),
    path("live/stream", stream, name="live-stream"),
    path("live/news", news, name="live-news"),
    path("static/<str:name>", static, name="static"),
]
