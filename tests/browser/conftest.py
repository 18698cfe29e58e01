"""One browser for all of these tests, one collector for a module, and what can be seen there."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser

from tests.browser.filling import served
from tests.browser.reaching import reached
from tests.support.browser import chromium
from tests.support.debian import Unavailable
from tests.support.serving import Serving


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Playwright's."""
    return "asyncio"


@pytest.fixture(scope="package")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    try:
        async with chromium() as found:
            yield found
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with served(tmp_path_factory.mktemp("viewer")) as found:
        yield found


@pytest.fixture(scope="module")
def addresses(server: Serving) -> dict[str, list[str]]:
    """Addresses of every page, by its path in the table of pages."""
    return reached(server.url)
