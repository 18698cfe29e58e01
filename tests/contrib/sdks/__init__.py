"""
Every SDK that is captured, newest and previous major version, through one table of scenarios.

Each version has an environment of its own (``.cache/sdks``). There one process plays all scenarios twice,
first without llmobs and then with it, against `example_apps.llm_server`. What the host got must be the
same to the byte, and what was recorded must be what the server says that it answered (``DELETE /answered``).
What held is kept in the folder ``held``, of which ``docs/reference/captured.md`` is made::

    python -m tests.contrib.sdks [PACKAGE ...]      # play, and keep what held
    pytest tests/contrib/sdks                       # play, and compare

To add an SDK, add a module to ``rows``, which gets the SDK by `rows.shared.sdk` and inside functions only::

    class Chat:
        def __init__(self, url: str) -> None:
            theirs = shared.sdk("theirs")
            self.client, self.later = theirs.Client(base_url=url), theirs.AsyncClient(base_url=url)

        def plain(self) -> Any:
            return self.client.chat("Explain queues")

        async def cancel(self) -> Any:                      # any scenario may be async
            return await self.later.stream("Explain queues", model="any-fail-endless")

        async def gather(self, question: str) -> Any: ...   # asked 20 times, as `threads`

    SDK = Sdk(
        "theirs",
        versions=(("theirs==2.1.0",), ("theirs==1.9.0",)),
        door="llmobs.instrument",
        rows=(Row("Client.chat", Chat, provider="theirs", without={"embeddings": "it has none"}),),
    )

A scenario returns what the host sees: objects of the SDK, an iterator (which is read to its end, and in
``cancel`` left by a cancelled task after the first piece), or lists of these; what it raises is seen as well.
`table.SCENARIOS` names those that each row has or excuses itself for (``without``); other public methods are
scenarios of its own, compared in the same way. Faults are asked for by the model's name
(``any-fail-500-once``). The server's wire has to say what it answered: `conversation.Reply.said`.
"""
