"""
The middleware, and the obvious wrong ways to write it (DESIGN §5): the tests show that these lose.

What they do wrong, they do with the package's own parts: only the fact under test differs.
"""

import atexit
from typing import Any

from llmobs.client.sync_client import Client
from llmobs.contrib.asgi import LLMObsMiddleware, Receive, Scope, Send


class WrapsTheLifespan(LLMObsMiddleware):
    """Fact 1: delivers after `lifespan.shutdown.complete` was sent, which is too late."""

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> Any:
        async with self._build() as client:
            self._client = client
            await self.app(scope, receive, send)


class TrustsAtexit(LLMObsMiddleware):
    """Fact 2: a client with a thread, closed by `atexit`, which no signal runs."""

    def __init__(self, app: Any, **settings: Any) -> None:
        client = Client(**settings)
        atexit.register(client.close)
        super().__init__(app, client=client)


VARIANTS: dict[str, type[LLMObsMiddleware]] = {
    "ours": LLMObsMiddleware,
    "wraps-the-lifespan": WrapsTheLifespan,
    "trusts-atexit": TrustsAtexit,
}
