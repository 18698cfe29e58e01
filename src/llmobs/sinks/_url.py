"""URLs of HTTP sinks: where the server is, and who we are."""

import base64
from urllib.parse import unquote, urlsplit, urlunsplit

from llmobs.errors import ConfigurationError
from llmobs.sinks import check_credentials

__all__ = ["basic_auth", "split_url"]


def split_url(url: str) -> tuple[str, str | None, str | None]:
    """
    Return the URL without credentials and query, the user (usually a key) and the password in it.

    Raises:
        ConfigurationError: It has no host, or its credentials are not percent-encoded.
    """
    check_credentials(url)
    parts = urlsplit(url)
    if not parts.hostname:
        raise ConfigurationError("needs a host, for instance https://key@collector.example/v1")
    _ = parts.port  # raises ValueError if it is none
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    user, password = (
        None if part is None else unquote(part) for part in (parts.username, parts.password)
    )
    return bare, user or None, password


def basic_auth(user: str, password: str) -> str:
    """Return the value of an ``Authorization`` header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
