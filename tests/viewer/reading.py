"""A page, read as a browser reads it."""

from html.parser import HTMLParser
from typing import Final

from llmobs.viewer.page import Page

_VOID: Final = {
    "meta", "link", "input", "br", "hr", "img", "rect", "line", "path", "circle", "polyline"
}  # fmt: skip


class Read(HTMLParser):
    """What is in a page: elements with their attributes, the text, and links."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.html)
        self.close()
        assert self._open == [], f"not closed: {self._open}"
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids)), "an id stands twice"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-1:]}"
            self._open.pop()

    def handle_data(self, data: str) -> None:
        assert "script" not in self._open, "a script stands in the page"
        self.text += data

    @property
    def links(self) -> list[str]:
        """Where one can go."""
        return [a["href"] for tag, a in self.elements if tag == "a" and "href" in a]

    def link(self, rel: str) -> str | None:
        """Where the link with this relation leads."""
        return next((a["href"] for _, a in self.elements if a.get("rel") == rel), None)

    def check_harmless(self) -> None:
        """Fail where there is what the policy forbids, or what would leave the host."""
        for tag, attributes in self.elements:
            assert tag not in ("style", "iframe", "object", "embed", "base", "img"), tag
            assert tag != "script" or "/static/" in attributes["src"]
            for name, value in attributes.items():
                assert name != "style" and not name.startswith("on"), (tag, name)
                if name in ("href", "src", "action", "xlink:href"):
                    assert value.startswith(("/", "#")) and not value.startswith("//"), value
