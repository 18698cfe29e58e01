"""
Every code example of the WatchLLM document runs, taken from the document itself.

What is changed: the import line, the address, and what the checklist says is missing from the print
(an ``import``, real arguments for ``...``, the functions that stand for the reader's own).
"""

import asyncio
import inspect
import logging
import re
import sys
import time
import types
import typing
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from llmobs.watchllm import Severity, Status, StepType, WatchLLMClient
from tests.dialects.documents import Block, blocks, parameters
from tests.support.llm_server import llm_server as llm_server
from tests.support.ports import free_ports
from tests.support.watchllm_server import EVERY_PROJECT, WatchLLMServer

BLOCKS = blocks("watchllm.md")
COVERED: set[int] = set()

Run = Callable[..., dict[str, Any]]
Test = typing.TypeVar("Test", bound=Callable[..., Any])

PROMPT_CALL = {
    "run_id": "run-1",
    "prompt": "p",
    "model": "gpt-4o",
    "response": "r",
    "tokens_input": 1,
    "tokens_output": 1,
    "latency_ms": 1,
}
AGENT_STEP = {
    "run_id": "run-1",
    "step_number": 1,
    "step_name": "s",
    "step_type": "reasoning",
    "input_data": {},
    "output_data": {},
    "latency_ms": 1,
}


def example(number: int, section: str, *row_ids: str) -> Callable[[Test], Test]:
    """Mark a test as the one of block *number*, which stands under *section*."""
    assert BLOCKS[number].section == section
    COVERED.add(number)
    return pytest.mark.row(*row_ids) if row_ids else lambda test: test


def adapted(block: Block, *changes: tuple[str, str]) -> str:
    """Return the code with import and address changed, real arguments for dots, and *changes*."""
    code = block.code.replace("from watchllm import", "from llmobs.watchllm import")
    code = re.sub(
        r"WatchLLMClient\((\s*)api_key", r"WatchLLMClient(\1base_url=BASE_URL, api_key", code
    )

    def arguments(call: re.Match[str]) -> str:
        names = PROMPT_CALL if call[1] == "log_prompt_call" else AGENT_STEP
        missing = {name: value for name, value in names.items() if f"{name}=" not in call[2]}
        given = call[2].replace("# ...", "...").replace("...", f"**{missing!r}")
        return f"{call[1]}({given})"

    dotted = r"(log_prompt_call|log_agent_step)\(((?:run_id=run_id, )?\.\.\.|[^()]*(?:\([^()]*\)[^()]*)*# \.\.\.\n)\)"
    code = re.sub(dotted, arguments, code)
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new)
    return code


@pytest.fixture(scope="module")
def _server() -> Iterator[WatchLLMServer]:
    with WatchLLMServer({"your-api-key": EVERY_PROJECT, "...": EVERY_PROJECT}) as server:
        yield server


@pytest.fixture
def server(_server: WatchLLMServer) -> WatchLLMServer:
    _server.forget()
    return _server


@pytest.fixture
def watchllm(server: WatchLLMServer) -> Iterator[WatchLLMClient]:
    """The client that short examples take for granted."""
    with WatchLLMClient("your-api-key", "your-project-id", base_url=server.base_url) as client:
        yield client


@pytest.fixture
def run(server: WatchLLMServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a block, with names the document takes for granted; return what it defined."""
    monkeypatch.setenv("WATCHLLM_API_KEY", "your-api-key")
    monkeypatch.setenv("WATCHLLM_PROJECT_ID", "your-project-id")
    clients = []

    def run_block(number: int, *changes: tuple[str, str], **names: Any) -> dict[str, Any]:
        scope = {"__name__": "example", "BASE_URL": server.base_url, **names}
        code = compile(adapted(BLOCKS[number], *changes), f"watchllm.md, block {number}", "exec")
        try:
            exec(code, scope)
        finally:
            clients.extend(v for v in scope.values() if isinstance(v, WatchLLMClient))
        return scope

    yield run_block
    for client in clients:
        client.close()


def arrived(server: WatchLLMServer) -> list[str]:
    return [event["event_type"] for event in server.events]


# Quick start.


@example(0, "Basic Setup", "W005", "W006")
def test_basic_setup(run: Run, server: WatchLLMServer) -> None:
    scope = run(0)
    [event] = server.events
    assert event["event_id"] == scope["event_id"]
    assert (event["run_id"], event["latency_ms"], event["status"]) == ("run-123", 1250, "success")
    assert (event["tokens_input"], event["tokens_output"]) == (12, 45)


@example(1, "With FastAPI", "W007")
@pytest.mark.filterwarnings("ignore:(?s).*on_event is deprecated:DeprecationWarning")
def test_with_fastapi(run: Run, server: WatchLLMServer) -> None:
    from starlette.testclient import TestClient

    async def call_openai(prompt: str) -> dict[str, Any]:
        if prompt == "fail":
            raise RuntimeError("no model today")
        return {"text": "hello", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}

    scope = run(1, call_openai=call_openai)
    with TestClient(scope["app"]) as http:
        answer = http.post("/api/chat", json={"prompt": "hi"}, headers={"x-run-id": "run-77"})
        assert answer.json()["text"] == "hello"
        assert "no model today" in http.post("/api/chat", json={"prompt": "fail"}).text
    assert arrived(server) == ["prompt_call", "error"]
    call, error = server.events
    assert (call["run_id"], call["prompt"], call["tokens_output"]) == ("run-77", "hi", 4)
    assert error["error"]["message"] == "no model today"
    assert error["context"]["endpoint"] == "/api/chat"


# Signature blocks: annotations in a call are not Python, so they are read as a definition.


@example(2, "WatchLLMClient Constructor", "W008")
@example(9, "log_prompt_call", "W055")
@example(11, "log_agent_step", "W075")
@example(13, "log_error", "W092")
@pytest.mark.parametrize("number", [2, 9, 11, 13])
def test_the_signatures_printed_as_calls(number: int) -> None:
    block = BLOCKS[number]
    code = re.sub(r"\A.*?(\w+)\(\n", r"def \1(\n", block.code).rstrip().partition("  # Returns")[0]
    scope: dict[str, Any] = {**vars(typing), "Status": Status, "StepType": StepType}
    exec(f"{code}: ...", scope)
    name = block.section.partition(" ")[0]
    ours = WatchLLMClient if name == "WatchLLMClient" else getattr(WatchLLMClient, name)
    assert parameters(inspect.signature(ours)) == parameters(inspect.signature(scope[name]))


# Configuration and concepts.


@example(3, "Environment Variables", "W018", "W019", "W020", "W021", "W022")
def test_environment_variables(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    client = run(3)["watchllm"]
    assert (client.api_key, client.project_id) == ("your-api-key", "your-project-id")
    assert (client.environment, client.sample_rate) == ("development", 1.0)
    monkeypatch.setenv("WATCHLLM_ENVIRONMENT", "production")
    monkeypatch.setenv("WATCHLLM_SAMPLE_RATE", "0.5")
    client = run(3)["watchllm"]
    assert (client.environment, client.sample_rate) == ("production", 0.5)
    monkeypatch.delenv("WATCHLLM_API_KEY")
    with pytest.raises(ValueError, match="api_key is missing"):
        run(3)


@example(4, "Status Values", "W029")
@example(5, "Step Types", "W035")
@example(6, "Severity Levels", "W040")
def test_enums(run: Run) -> None:
    for number, kind, members in ((4, Status, 5), (5, StepType, 4), (6, Severity, 4)):
        assert run(number)[kind.__name__] is kind
        named = re.findall(rf"^{kind.__name__}\.(\w+)", BLOCKS[number].code, re.MULTILINE)
        assert len(named) == members
        assert set(named) <= set(kind.__members__)


@example(7, "Batching and Flushing", "W048", "W049", "W050", "W051")
def test_batching_and_flushing(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    first = watchllm.log_prompt_call(**PROMPT_CALL)  # type: ignore[arg-type]
    scope = run(7, watchllm=watchllm, WatchLLMClient=WatchLLMClient)
    assert [event["event_id"] for event in server.events] == [first, scope["event_id"]]


@example(8, "PII Redaction", "W054")
def test_no_redaction(run: Run, server: WatchLLMServer) -> None:
    client = run(8, WatchLLMClient=WatchLLMClient)["watchllm"]
    text = "joe@example.com pays with 4111 1111 1111 1111"
    client.log_prompt_call(**{**PROMPT_CALL, "prompt": text})
    client.flush()
    assert server.events[0]["prompt"] == text


# API reference.


@example(10, "log_prompt_call", "W074")
def test_summarize(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    event_id = run(10, watchllm=watchllm, Status=Status)["event_id"]
    watchllm.flush()
    [event] = server.events
    assert event["event_id"] == event_id
    assert event["prompt"] == "Summarize this article: ..."
    assert (event["tags"], event["user_id"]) == (["summarization", "article"], "user-456")
    assert event["release"] == "1.2.0"


@example(12, "log_agent_step", "W091")
def test_research_phase(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    run(12, watchllm=watchllm, Status=Status)
    watchllm.flush()
    [event] = server.events
    assert event["output_data"] == {"findings": ["Ellipsis"]}
    assert event["context"]["temperature"] == 0.7


@example(14, "log_error", "W100")
def test_call_llm(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    async def call_llm() -> None:
        raise ConnectionError("no network")

    indented = "".join(f"    {line}\n" for line in BLOCKS[14].code.splitlines())
    changes = (BLOCKS[14].code, f"async def main():\n{indented}")
    scope = run(14, changes, watchllm=watchllm, call_llm=call_llm)
    asyncio.run(scope["main"]())
    watchllm.flush()
    [event] = server.events
    assert event["error"]["type"] == "ConnectionError"
    assert (event["context"]["operation"], event["context"]["retry_attempt"]) == ("call_llm", 2)
    assert event["tags"] == ["error", "openai"]


@example(15, "flush", "W101")
@example(17, "close", "W103")
def test_flush_and_close(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    for number in (15, 17):
        watchllm.log_prompt_call(**PROMPT_CALL)  # type: ignore[arg-type]
        run(number, watchllm=watchllm)
    assert len(server.events) == 2


@example(16, "flush", "W102")
def test_periodic_flush(
    run: Run,
    server: WatchLLMServer,
    watchllm: WatchLLMClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        await real_sleep(0.01 if seconds == 30 else seconds)

    scope = run(16, watchllm=watchllm)

    async def main() -> None:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        task = asyncio.create_task(scope["periodic_flush"]())
        watchllm.log_prompt_call(**PROMPT_CALL)  # type: ignore[arg-type]
        deadline = time.monotonic() + 10
        while not server.events and time.monotonic() < deadline:
            await real_sleep(0.01)
        task.cancel()

    asyncio.run(main())
    assert len(server.events) == 1


@example(18, "close", "W104")
@example(26, "4. **Use Context Managers for Cleanup**", "W112")
@pytest.mark.parametrize("number", [18, 26])
def test_context_manager_and_finally(number: int, run: Run, server: WatchLLMServer) -> None:
    client = run(number, WatchLLMClient=WatchLLMClient)["watchllm"]
    assert arrived(server) == ["prompt_call"]
    client.log_prompt_call(**PROMPT_CALL)
    assert client.statistics().dropped == {"closed": 1}


# Usage examples.


@example(19, "Example 1: OpenAI Integration", "W105")
def test_openai(
    run: Run, server: WatchLLMServer, llm_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{llm_server}/v1")
    scope = run(19)
    scope["client"].close()
    [event] = server.events
    assert event["prompt"] == "What is machine learning?"
    assert event["response"] == scope["result"] != ""
    assert event["tokens_input"] > 0
    assert event["tokens_output"] > 0


@example(19, "Example 1: OpenAI Integration", "W105")
def test_openai_fails(run: Run, server: WatchLLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_ports(1)[0]}/v1")
    monkeypatch.setattr(openai.OpenAI.__init__, "__kwdefaults__",
                        {**openai.OpenAI.__init__.__kwdefaults__, "max_retries": 0})  # fmt: skip
    with pytest.raises(openai.APIConnectionError):
        run(19)
    [event] = server.events
    assert event["error"]["type"] == "openai.APIConnectionError"
    assert event["context"]["prompt"] == "What is machine learning?"


@example(20, "Example 2: Agent Workflow", "W106")
def test_agent_workflow(run: Run, server: WatchLLMServer) -> None:
    async def stub(data: object) -> dict[str, object]:
        return {"from": data}

    run(20, perform_web_search=stub, analyze_results=stub, generate_summary=stub)
    assert [event["step_number"] for event in server.events] == [1, 2, 3]
    assert [event["step_type"] for event in server.events] == ["tool_call", "reasoning", "output"]
    assert len({event["run_id"] for event in server.events}) == 1
    assert server.events[1]["reasoning"] == "Synthesized search results into coherent insights"


@example(20, "Example 2: Agent Workflow", "W106")
def test_agent_workflow_fails(run: Run, server: WatchLLMServer) -> None:
    async def fail(data: object) -> None:
        raise LookupError("nothing found")

    with pytest.raises(LookupError):
        run(20, perform_web_search=fail)
    [event] = server.events
    assert event["tags"] == ["agent", "research"]
    assert event["context"]["topic"] == "climate change solutions"


@example(21, "Example 3: Error Handling with Context", "W107")
@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
def test_error_handling(run: Run, server: WatchLLMServer) -> None:
    def execute_business_logic(request: dict[str, str]) -> None:
        raise KeyError("price")

    scope = run(21, ("import os\n", "import os\nimport time\n"),
                execute_business_logic=execute_business_logic)  # fmt: skip
    try:
        scope["process_request"]("u-1", {"id": "r-1", "type": "buy"})
    except KeyError:
        [event] = server.events  # delivered before the exception left
    assert event["error"]["type"] == "KeyError"
    assert (event["context"]["request_id"], event["context"]["request_type"]) == ("r-1", "buy")
    assert event["tags"] == ["error", "processing", "user-request"]
    assert (event["user_id"], event["env"]) == ("u-1", "production")


@example(22, "Example 4: Langchain Integration", "W108")
def test_langchain(run: Run, server: WatchLLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("langchain", "langchain.llms", "langchain.agents"):  # gone from today's langchain
        module = types.ModuleType(name)
        vars(module).update(OpenAI=SimpleNamespace, initialize_agent=None, Tool=None)
        monkeypatch.setitem(sys.modules, name, module)
    scope = run(22, ("import time\n", "import time\nimport os\n"))
    callback = scope["callback"]
    assert scope["llm"].callbacks == [callback]
    usage = SimpleNamespace(prompt_tokens=3, completion_tokens=4)
    callback.on_llm_start({}, ["p"])
    callback.on_llm_end(SimpleNamespace(prompt="p", model="gpt-4o", text="r", usage=usage))
    callback.on_tool_start({}, "x")
    callback.on_tool_end("found", tool_name="search", input={"q": "x"})
    scope["watchllm"].flush()
    assert arrived(server) == ["prompt_call", "agent_step"]
    step = server.events[1]
    assert (step["step_number"], step["step_name"]) == (0, "search")
    assert step["input_data"] == {"tool_input": {"q": "x"}}


# Best practices.


@example(23, "1. **Use Consistent Run IDs**", "W109")
def test_consistent_run_ids(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    scope = run(23, watchllm=watchllm)
    watchllm.flush()
    assert arrived(server) == ["prompt_call", "agent_step", "prompt_call"]
    assert {event["run_id"] for event in server.events} == {scope["run_id"]}


@example(24, "2. **Tag Events for Better Filtering**", "W110")
@example(25, "3. **Include User Context**", "W111")
@example(29, "7. **Include Release Information**", "W115")
def test_tags_user_and_release(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    request = SimpleNamespace(user=SimpleNamespace(id=42))
    for number in (24, 25, 29):
        run(number, watchllm=watchllm, run_id="run-9", request=request)
    watchllm.flush()
    tagged, of_user, released = server.events
    assert tagged["tags"] == ["customer-support", "urgent", "gpt-4"]
    assert of_user["user_id"] == "42"
    assert released["release"] == "v1.2.3"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(27, {"sample_rate": 0.1},
                     marks=example(27, "5. **Set Appropriate Sample Rates**", "W113")),
        pytest.param(28, {"batch_size": 50, "flush_interval_seconds": 10},
                     marks=example(28, "6. **Monitor Batch Configuration**", "W114")),
        pytest.param(31, {"batch_size": 5, "flush_interval_seconds": 3},
                     marks=example(31, "High Memory Usage", "W123")),
        pytest.param(32, {"timeout": 60}, marks=example(32, "Timeout Errors", "W125")),
    ],
)  # fmt: skip
def test_settings(number: int, expected: dict[str, float], run: Run) -> None:
    client = run(number, WatchLLMClient=WatchLLMClient)["watchllm"]
    assert {name: getattr(client.settings, name) for name in expected} == expected


# Troubleshooting.


@example(30, "Events Not Being Sent", "W120")
def test_debug_logging(
    run: Run,
    server: WatchLLMServer,
    watchllm: WatchLLMClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("watchllm")
    root_level = logging.getLogger().level
    try:
        assert run(30)["logger"] is logger
        watchllm.log_prompt_call(**PROMPT_CALL)  # type: ignore[arg-type]
        watchllm.flush()
    finally:
        logger.setLevel(logging.NOTSET)
        logging.getLogger().setLevel(root_level)
    told = [record.getMessage() for record in caplog.records if record.name == "watchllm"]
    assert [line.partition(" ")[0] for line in told] == ["queued", "sending", "answer"]


@example(33, "PII Not Being Redacted", "W126", "W127")
def test_sanitize(run: Run, server: WatchLLMServer, watchllm: WatchLLMClient) -> None:
    run(33, watchllm=watchllm, run_id="run-1", prompt="078-05-1120 4111111111111111 joe@x.com")
    watchllm.flush()
    assert server.events[0]["prompt"] == "[REDACTED_SSN] [REDACTED_CC] [REDACTED_EMAIL]"


@pytest.mark.row("W126")
def test_what_is_redacted_can_be_read_and_tried() -> None:
    from llmobs.redaction.redactor import redact_text

    assert redact_text("joe@example.com") == "[REDACTED_EMAIL]"
    assert "e-mail addresses" in (inspect.getdoc(redact_text) or "")


@example(34, "Thread Safety in Async Applications", "W128", "W129")
def test_async_operation(run: Run, server: WatchLLMServer) -> None:
    run(34)
    assert arrived(server) == ["prompt_call"]


def test_no_example_is_forgotten() -> None:
    assert set(range(len(BLOCKS))) == COVERED
