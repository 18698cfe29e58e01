"""The `urllib3` package, by itself and through `requests`: applications that have no SDK."""

import json
from collections.abc import Iterator
from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION


class Session(shared.Script):
    """``requests.Session.post``."""

    _model = "gpt-4o"
    _streaming = {"stream": True, "stream_options": {"include_usage": True}}

    def __init__(self, url: str) -> None:
        requests = shared.sdk("requests")
        again = shared.sdk("urllib3.util").Retry(
            1, status_forcelist=[500], allowed_methods=None, backoff_factor=0
        )
        self._base = f"{url}/v1"
        self._client: Any = requests.Session()
        self._patient: Any = requests.Session()
        self._patient.mount("http://", requests.adapters.HTTPAdapter(max_retries=again))

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        asked = self._asked(content, fault, **more)
        return self._answer(self._client.post(f"{self._base}/chat/completions", json=asked))

    def _answer(self, response: Any) -> Any:
        return [response.status_code, response.text]

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Iterator[Any]:
        asked = self._asked(content, fault, **self._streaming, **more)
        where = f"{self._base}/chat/completions"
        with self._client.post(where, json=asked, stream=True) as response:
            yield from response.iter_lines()

    def reasoning(self) -> Any:
        return self._ask(Q, model="o3-mini")

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def embeddings(self) -> Any:
        asked = {"model": "text-embedding-3-small", "input": ["tea", "coffee"]}
        return self._answer(self._client.post(f"{self._base}/embeddings", json=asked))

    def retry(self) -> Any:
        asked = self._asked(Q, "-fail-500-once")
        return self._answer(self._patient.post(f"{self._base}/chat/completions", json=asked))


class Pool(Session):
    """``urllib3.PoolManager.request``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._pool: Any = shared.sdk("urllib3").PoolManager(maxsize=20)

    def _post(self, path: str, asked: Any, **more: Any) -> Any:
        body = json.dumps(asked).encode()
        headers = {"content-type": "application/json"}
        return self._pool.request("POST", f"{self._base}{path}", body=body, headers=headers, **more)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._whole(self._post("/chat/completions", self._asked(content, fault, **more)))

    def _whole(self, response: Any) -> Any:
        return [response.status, response.data]

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Iterator[Any]:
        asked = self._asked(content, fault, **self._streaming, **more)
        response = self._post("/chat/completions", asked, preload_content=False)
        try:
            yield from response.stream(512)
        finally:
            response.close()

    def embeddings(self) -> Any:
        asked = {"model": "text-embedding-3-small", "input": ["tea", "coffee"]}
        return self._whole(self._post("/embeddings", asked))

    def retry(self) -> Any:
        again = shared.sdk("urllib3.util").Retry(
            1, status_forcelist=[500], allowed_methods=None, backoff_factor=0
        )
        asked = self._asked(Q, "-fail-500-once")
        return self._whole(self._post("/chat/completions", asked, retries=again))


_WITHOUT = {
    **dict.fromkeys(("cancel", "gather"), "it knows no asyncio"),
    "raw_response": "there is no other",
}
_UNTOLD = frozenset({"thinking", "why"})
SDK = Sdk(
    "urllib3",
    versions=(("urllib3==2.8.0", "requests==2.34.2"), ("urllib3==1.26.20", "requests==2.32.5")),
    door="llmobs.instrument",
    rows=(
        Row("requests.Session.post", Session, "openai", without=_WITHOUT, untold=_UNTOLD),
        Row("PoolManager.request", Pool, "openai", without=_WITHOUT, untold=_UNTOLD),
    ),
)
