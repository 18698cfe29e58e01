"""What a visitor reaches who follows links: some addresses of every page there is."""

import re
from collections import deque
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import httpx2

from llmobs.viewer.page import Page
from llmobs.viewer.pages import PAGES
from tests.viewer.reading import Read

__all__ = ["reached"]

PATHS = [each.path for each in PAGES]
EACH = 3
"""Addresses of one page that are looked at: each asks for something else, where it can."""


def reached(url: str) -> dict[str, list[str]]:
    """Follow the links from the first page on; return addresses by the page they are of."""
    found: dict[str, dict[str, str]] = {path: {} for path in PATHS}
    waiting, seen = deque([f"{url}/"]), {f"{url}/"}
    with httpx2.Client() as client:
        while waiting:
            address = waiting.popleft()
            path = _page_of(urlsplit(address).path)
            kind = _kind_of(address)
            if len(found[path]) == EACH or kind in found[path]:
                continue
            answer = client.get(address)
            assert answer.status_code == 200, address
            found[path][kind] = address
            is_read = "html" in answer.headers["content-type"]
            for link in Read(Page(answer.text)).links if is_read else ():
                where = urljoin(address, link).partition("#")[0]
                if where not in seen and not urlsplit(where).path.startswith("/api/"):
                    seen.add(where)
                    waiting.append(where)
    return {path: list(kinds.values()) for path, kinds in found.items()}


def _page_of(path: str) -> str:
    for each in PATHS:
        pattern = re.sub(r"\\\{.*?\\\}", ".+", re.escape(each))
        if re.fullmatch(pattern, unquote(path), re.DOTALL):
            return each
    raise AssertionError(f"a link leads to {path}, which is no page")


def _kind_of(address: str) -> str:
    """Return what is alike in addresses that ask for the same of one list."""
    query = urlsplit(address).query
    return ",".join(sorted(name for name, _ in parse_qsl(query))) if query else address
