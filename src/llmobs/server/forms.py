"""Forms that browsers post to us: read within bounds, and taken from our own pages alone."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from hmac import compare_digest
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from llmobs.contrib._starlette.pages import answer_page
from llmobs.server.bodies import RefusedError, read_body
from llmobs.server.pages import site_of
from llmobs.server.refusals import refusal_of
from llmobs.viewer.feedback import FORM, MAX_BYTES, fields_of
from llmobs.viewer.page import trouble

__all__ = ["TOKEN", "check_token", "read_form", "told_as_page"]

TOKEN: Final = "token"  # noqa: S105 - the name of the field
"""The field that no form of a stranger can fill in."""


async def read_form(request: Request) -> Mapping[str, str]:
    """
    Return the fields of a form.

    Raises:
        RefusedError: 413, 415; FormError: what came is no form of ours.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise RefusedError(415, f"this takes forms, as {FORM}", "content-type")
    body = await read_body(request, max_bytes=MAX_BYTES)
    return fields_of(body)


def check_token(token: str, form: Mapping[str, str]) -> None:
    """
    See that *form* is one that we have given to who posts it.

    Args:
        token: What it holds then; empty: they were given none.
        form: What came.

    Raises:
        RefusedError: 403: it is not, or not since the server began.
    """
    given = form.get(TOKEN, "").encode("utf-8", "surrogatepass")
    if not token or not compare_digest(token.encode(), given):
        raise RefusedError(
            403,
            "This form is not from here, or too old, or the browser keeps no cookies: "
            "go back, load the page again, and try once more.",
            TOKEN,
        )


def told_as_page(
    handle: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Let a refusal by *handle* be a page: who posts a form reads no JSON."""

    @wraps(handle)
    async def handled(request: Request) -> Response:
        try:
            return await handle(request)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status == 500:
                raise
            made = trouble(site_of(request), refusal.status, "This was not taken", refusal.message)
            return answer_page(made, refusal.headers)

    return handled
