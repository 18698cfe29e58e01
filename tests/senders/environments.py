"""Everybody's SDK in an environment of its own, with the versions that were tried."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.environments import npm_packages, python_packages

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
HOME = ROOT / ".cache" / "senders"

OTLP = "opentelemetry-exporter-otlp-proto-http==1.45.2"
OPENAI = "openai==3.57.0"
OPENAI_V2 = (
    "opentelemetry-instrumentation-openai-v2==2.4b0", "opentelemetry-util-genai==0.4b0", OTLP, OPENAI,
    "httpx==0.28.1",
)  # fmt: skip
NEWEST = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}


@dataclass(frozen=True)
class Sender:
    """A program that asks the model server and sends what it saw to a collector."""

    app: str
    packages: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def is_node(self) -> bool:
        return self.app.endswith(".mjs")


SENDERS = {
    "langfuse": Sender("langfuse_app.py", ("langfuse==5.0.4", OPENAI)),
    "logfire": Sender("logfire_app.py", ("logfire==5.4.0", OPENAI)),
    "logfire 1": Sender("logfire_app.py", ("logfire==5.4.0", OPENAI), {"SEMCONV": "1"}),
    "phoenix": Sender(
        "phoenix_app.py",
        ("arize-phoenix-otel==0.17.2", "openinference-instrumentation-openai==0.1.66", OPENAI),
    ),
    "traceloop": Sender("traceloop_app.py", ("traceloop-sdk==0.62.4", OPENAI, "httpx==0.28.1")),
    "langsmith": Sender("langsmith_app.py", ("langsmith[otel]==0.15.1", OPENAI)),
    "openlit": Sender("openlit_app.py", ("openlit==1.45.0", "openai==2.54.0")),
    "pydantic-ai": Sender("pydantic_ai_app.py", ("pydantic-ai-slim[openai]==2.68.0", OTLP)),
    "openai-v2": Sender("openai_v2_app.py", OPENAI_V2, NEWEST),
    "openai-v2 before": Sender(
        "openai_v2_app.py",
        OPENAI_V2,
        {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"},
    ),
    "vercel-ai": Sender(
        "vercel_ai_app.mjs",
        (
            "ai@6.0.326", "@ai-sdk/openai@3.0.141", "zod@4.6.7", "@opentelemetry/api@1.9.1",
            "@opentelemetry/resources@2.12.1", "@opentelemetry/sdk-trace-node@2.12.1",
            "@opentelemetry/exporter-trace-otlp-proto@0.223.1",
        ),
    ),
}  # fmt: skip


def environment(sender: Sender) -> Path:
    """
    Return the folder of the sender's environment, made if need be.

    Raises:
        FileNotFoundError: What installs it (npm) is not there.
        subprocess.CalledProcessError: It cannot be installed here.
    """
    home = HOME / sender.app.partition(".")[0]
    return (npm_packages if sender.is_node else python_packages)(home, sender.packages)


def run(sender: Sender, *, model: str, collector: str) -> subprocess.CompletedProcess[str]:
    """
    Run the sender's program to its end; what it printed, warnings and its loggers' errors among it.

    Args:
        model: Address of the model server.
        collector: Where it sends to.
    """
    home = environment(sender)
    program = APPS / sender.app
    if sender.is_node:  # it finds its packages from where it is
        program = Path(shutil.copy(program, home))
        command = ["node", str(program)]
    else:
        command = [str(home / "bin" / "python"), "-P", str(program)]
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {"MODEL_URL": model, "COLLECTOR_URL": collector, "PYTHONPATH": str(APPS), **sender.env}
    return subprocess.run(
        command, cwd=home, env=env, capture_output=True, text=True, timeout=120, check=False
    )
