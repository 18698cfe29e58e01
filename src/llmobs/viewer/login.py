"""Logging in."""

from urllib.parse import urlencode

from llmobs.viewer.page import Page, Site, render

__all__ = ["login_page", "once_more_page"]


def login_page(
    site: Site, *, token: str, target: str, error: str, status: int, is_readable: bool
) -> Page:
    """
    Return the form that takes a key.

    Args:
        site: Where it is.
        token: What shows that it is ours.
        target: Where to go then; empty for the first page.
        error: Why it did not go well; empty at first.
        status: Of HTTP.
        is_readable: Whether who is on the way there may read what is sent.
    """
    return render(
        "login.html", site, status=status, token=token, target=target, error=error,
        is_readable=is_readable,
    )  # fmt: skip


def once_more_page(site: Site, target: str) -> Page:
    """
    Return what comes here once more, as from a page of ours.

    Args:
        site: Where it is.
        target: Where to go after logging in.
    """
    query = f"?{urlencode({'next': target})}" if target else ""
    return render("once_more.html", site, address=f"{site.base}/login{query}")
