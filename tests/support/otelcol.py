"""
A real OpenTelemetry Collector: built once from its Go modules, cached, started on a free port.

Run as a module, this installs it: ``python -m tests.support.otelcol``. It is assembled by the
collector's own builder from its OTLP receiver and its file exporter; nothing of it is ours.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.support.polling import eventually
from tests.support.ports import free_ports

VERSIONS = ("0.161.0", "0.162.0", "0.160.0", "0.158.0", "0.156.0")
"""Releases to try, in order: a module proxy may not hold every part of every release."""
STABLE_OFFSET = 94
"""Modules at 1.x are numbered so: 0.161.0 goes with 1.67.0."""
INSTALL_SECONDS = 900

CACHE = Path(__file__).parents[2] / ".cache" / "otelcol"
BINARY = CACHE / "otelcol"

Json = dict[str, Any]

_COLLECTOR = "go.opentelemetry.io/collector"
_CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"


class CannotInstall(Exception):
    """Says why in one line."""


def installed() -> Path:
    """Return the collector's binary, building it if it is not cached.

    Raises:
        CannotInstall: There is no Go, or no module proxy that answers.
    """
    if BINARY.exists():
        return BINARY
    if shutil.which("go") is None:
        raise CannotInstall("the OpenTelemetry Collector needs Go to be built, and there is none")
    CACHE.mkdir(parents=True, exist_ok=True)
    reason = ""
    for version in VERSIONS:
        try:
            _build(version)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout or "").strip().splitlines()
            reason = lines[-1] if lines else str(error)
        except subprocess.TimeoutExpired:
            raise CannotInstall(f"building it took over {INSTALL_SECONDS} s") from None
        else:
            return BINARY
    raise CannotInstall(f"the OpenTelemetry Collector could not be built: {reason[:200]}")


def _build(version: str) -> None:
    stable = f"1.{int(version.split('.')[1]) - STABLE_OFFSET}.0"
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        environment = {**os.environ, "GOBIN": place}
        _run(["go", "install", f"{_COLLECTOR}/cmd/builder@v{version}"], environment)
        manifest = Path(place) / "manifest.json"  # JSON is YAML
        providers = [
            {"gomod": f"{_COLLECTOR}/confmap/provider/{kind}provider v{stable}"}
            for kind in ("file", "env")
        ]
        parts = {
            "dist": {"name": "otelcol", "output_path": f"{place}/out", "version": version},
            "receivers": [{"gomod": f"{_COLLECTOR}/receiver/otlpreceiver v{version}"}],
            "exporters": [{"gomod": f"{_CONTRIB}/exporter/fileexporter v{version}"}],
            "providers": providers,
        }
        manifest.write_text(json.dumps(parts))
        _run([f"{place}/builder", "--config", str(manifest)], environment)
        # In one step, so that a test run beside this one never sees half a binary.
        os.replace(f"{place}/out/otelcol", BINARY)


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True,
        timeout=INSTALL_SECONDS,
    )  # fmt: skip


@dataclass
class Collector:
    """A running collector."""

    endpoint: str
    """``http://host:port``."""
    output: Path

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans it wrote so far, each with its resource's attributes as ``resource``."""
        return self._read("resourceSpans", "scopeSpans", "spans")

    def logs(self) -> list[dict[str, Any]]:
        """Return the log records it wrote so far, likewise."""
        return self._read("resourceLogs", "scopeLogs", "logRecords")

    def _read(self, outer: str, middle: str, inner: str) -> list[dict[str, Any]]:
        if not self.output.exists():
            return []
        lines = self.output.read_text().split("\n")[:-1]  # the last may be half written
        return [
            {**item, "resource": attributes(group["resource"])}
            for line in lines
            for group in json.loads(line).get(outer, ())
            for scope in group[middle]
            for item in scope[inner]
        ]


def attributes(holder: dict[str, Any]) -> dict[str, Any]:
    """Return OTLP/JSON attributes as a plain mapping."""
    return {item["key"]: _plain(item["value"]) for item in holder.get("attributes", ())}


def _plain(value: dict[str, Any]) -> Any:
    kind, inner = next(iter(value.items()), ("", None))
    if kind == "arrayValue":
        return [_plain(item) for item in inner.get("values", ())]
    return int(inner) if kind == "intValue" else inner


@contextmanager
def running(directory: Path) -> Iterator[Collector]:
    """Start a collector that writes to a file in `directory`, and end it afterwards."""
    binary = installed()
    (port,) = free_ports(1)
    output = directory / "otlp.jsonl"
    pipeline = {"receivers": ["otlp"], "exporters": ["file"]}
    configuration = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"file": {"path": str(output), "flush_interval": "100ms"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": pipeline, "logs": pipeline},
        },
    }
    path = directory / "collector.yaml"
    path.write_text(json.dumps(configuration))
    endpoint = f"http://127.0.0.1:{port}"
    with (directory / "collector.log").open("wb") as log:
        process = subprocess.Popen(
            [str(binary), "--config", f"file:{path}"], stdout=log, stderr=log
        )
        try:
            eventually(lambda: _answers(endpoint, process), what="the collector's start")
            yield Collector(endpoint, output)
        finally:
            process.terminate()
            process.wait(10)


def _answers(endpoint: str, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError("the collector ended; see collector.log")
    try:
        return httpx2.post(f"{endpoint}/v1/traces", json={}).status_code == 200
    except httpx2.HTTPError:
        return False


if __name__ == "__main__":
    print(installed())
