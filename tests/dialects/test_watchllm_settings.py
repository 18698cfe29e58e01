"""llmobs.watchllm: every parameter of the constructor does what the document says."""

import time
from typing import Any

import pytest

from llmobs.errors import ConfigurationError
from llmobs.watchllm import WatchLLMClient, init
from tests.dialects.conftest import MakeClient
from tests.support.faults import Fault
from tests.support.polling import eventually
from tests.support.watchllm_server import WatchLLMServer

row = pytest.mark.row


def log(client: WatchLLMClient, count: int = 1, run_id: str | None = None) -> list[str]:
    return [
        client.log_prompt_call(run_id or f"run-{n}", "p", "no-such-model", "r", 1, 1, 1)
        for n in range(count)
    ]


@row("W009")
def test_the_key_is_the_bearer_token(client: WatchLLMClient, worker: WatchLLMServer) -> None:
    log(client)
    client.flush()
    [request] = worker.requests
    assert request.headers["authorization"] == "Bearer test-key"


@row("W009", "W010", "W022")
@pytest.mark.parametrize("name", ["api_key", "project_id"])
@pytest.mark.parametrize("value", [None, "", " ", 7])
def test_a_missing_key_or_project_is_said_at_once(name: str, value: Any) -> None:
    parameters: dict[str, Any] = {"api_key": "k", "project_id": "p", name: value}
    with pytest.raises(ConfigurationError, match=f"{name} is missing") as caught:
        WatchLLMClient(**parameters)
    assert isinstance(caught.value, ValueError)
    del parameters[name]
    with pytest.raises(TypeError, match=name):
        WatchLLMClient(**parameters)


@row("W009")
def test_the_key_is_not_shown() -> None:
    client = WatchLLMClient("secret-key", "p")
    assert "secret-key" not in repr(client) + repr(client.settings) + str(client.settings)
    with pytest.raises(ConfigurationError) as caught:
        WatchLLMClient("secret\nkey", "p")
    assert "secret" not in str(caught.value)


@row("W010", "W012")
def test_project_and_environment_are_on_every_event(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(project_id="shop", environment="production") as client:
        log(client)
        client.log_agent_step("r", 1, "s", "reasoning", {}, {}, 1)
        client.log_error("r", ValueError("x"))
    assert [(e["project_id"], e["env"]) for e in worker.events] == [("shop", "production")] * 3


@row("W011")
@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_events_go_below_the_base_url(
    ending: str, make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(base_url=worker.base_url + ending) as client:
        log(client)
    assert [(r.method, r.path, r.status) for r in worker.requests] == [
        ("POST", "/v1/events/batch", 200)
    ]


@row("W011")
def test_the_base_url_has_a_default_and_is_checked() -> None:
    assert WatchLLMClient("k", "p").base_url == "https://proxy.watchllm.dev/v1"
    with pytest.raises(ConfigurationError, match="base_url"):
        WatchLLMClient("k", "p", base_url="proxy.watchllm.dev/v1")


@row("W012")
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("development", "development"),
        ("staging", "staging"),
        ("production", "production"),
        ("test", "staging"),
        ("my laptop", "development"),
    ],
)
def test_environments_the_worker_does_not_know_go_as_the_nearest(
    given: str, sent: str, make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(environment=given) as client:
        log(client)
    [event] = worker.events
    assert event["env"] == sent
    assert event["response_metadata"].get("environment", given) == given


@row("W013")
@pytest.mark.parametrize(("rate", "low", "high"), [(0.0, 0, 0), (1.0, 400, 400), (0.1, 25, 55)])
def test_sample_rate(
    rate: float, low: int, high: int, make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(sample_rate=rate, batch_size=100) as client:
        assert all(log(client, 400))
    assert low <= len(worker.events) <= high


@row("W013")
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "often"])
def test_a_sample_rate_outside_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="sample_rate"):
        WatchLLMClient("k", "p", sample_rate=rate)


@row("W014")
@pytest.mark.parametrize(
    ("parameters", "text"), [({}, "[REDACTED_EMAIL]"), ({"redact_pii": False}, "joe@example.com")]
)
def test_redact_pii(
    parameters: dict[str, Any], text: str, make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(**parameters) as client:
        client.log_prompt_call("r", "I am joe@example.com", "m", "a", 1, 1, 1)
    assert worker.events[0]["prompt"] == f"I am {text}"


@row("W015")
def test_ten_events_make_a_batch(make_client: MakeClient, worker: WatchLLMServer) -> None:
    client = make_client(flush_interval_seconds=30)
    log(client, 10)
    eventually(lambda: worker.requests)
    assert len(worker.requests) == 1 and len(worker.events) == 10


@row("W015")
def test_a_request_never_has_more_than_a_hundred(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with make_client(batch_size=1000, flush_interval_seconds=30) as client:
        log(client, 250)
    assert len(worker.events) == 250
    assert len(worker.requests) == 3
    with pytest.raises(ConfigurationError, match="batch_size"):
        WatchLLMClient("k", "p", batch_size=0)


@row("W016")
@pytest.mark.parametrize("seconds", [0, 0.1, 1])
def test_one_event_is_sent_after_the_interval(
    seconds: float, make_client: MakeClient, worker: WatchLLMServer
) -> None:
    client = make_client(flush_interval_seconds=seconds)
    began = time.monotonic()
    log(client)
    eventually(lambda: worker.requests)
    assert seconds <= worker.requests[0].time - began < seconds + 3.5


@row("W017")
def test_a_request_is_given_up_after_the_timeout() -> None:
    with WatchLLMServer() as server:
        server.faults.add(Fault.half_open())
        client = WatchLLMClient("test-key", "p", base_url=server.base_url, timeout=1)
        log(client)
        began = time.monotonic()
        # The flush ends with the timeout too; what it could not deliver is tried again.
        assert client.flush().pending == 1
        assert time.monotonic() - began < 5
        eventually(lambda: len(server.events) == 1)
        client.close()


@pytest.mark.parametrize(
    ("variable", "parameter", "given", "value"),
    [
        pytest.param("WATCHLLM_API_KEY", "api_key", "k-env", "k-env", marks=row("W018")),
        pytest.param("WATCHLLM_PROJECT_ID", "project_id", "p-env", "p-env", marks=row("W019")),
        pytest.param(
            "WATCHLLM_ENVIRONMENT", "environment", "production", "production", marks=row("W020")
        ),
        pytest.param("WATCHLLM_SAMPLE_RATE", "sample_rate", "0.25", 0.25, marks=row("W021")),
    ],
)
def test_from_env(
    variable: str, parameter: str, given: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHLLM_API_KEY", "k")
    monkeypatch.setenv("WATCHLLM_PROJECT_ID", "p")
    monkeypatch.setenv(variable, given)
    assert getattr(WatchLLMClient.from_env(), parameter) == value
    own = {"api_key": "a", "project_id": "b", "environment": "staging", "sample_rate": 1.0}
    assert getattr(WatchLLMClient.from_env(**own), parameter) == own[parameter]


@row("W018", "W019")
def test_from_env_says_what_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHLLM_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="api_key is missing"):
        WatchLLMClient.from_env()


@row("W018", "W019", "W020", "W021")
def test_the_constructor_itself_reads_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "PROJECT_ID", "ENVIRONMENT", "SAMPLE_RATE"):
        monkeypatch.setenv(f"WATCHLLM_{name}", "0.5")
    client = WatchLLMClient("k", "p")
    assert (client.api_key, client.project_id) == ("k", "p")
    assert (client.environment, client.sample_rate) == ("development", 1.0)


def test_init_makes_a_client() -> None:
    client = init("k", "p", flush_interval_seconds=0.1)
    assert type(client) is WatchLLMClient
    assert client.flush_interval_seconds == 0.1


def test_settings_of_llmobs_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("LLMOBS_SPOOL_DIR", str(tmp_path))
    assert WatchLLMClient("k", "p").settings.spool_dir == tmp_path
