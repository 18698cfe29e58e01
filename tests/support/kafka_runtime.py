"""What a real Kafka broker needs: Java, its jars from Maven, an archive of loaded classes."""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KAFKA_VERSION = "4.1.1"
"""The broker the tests run against."""

_LEAST_JAVA = 17
_SECONDS_TO_FETCH = 300
CACHE = Path(__file__).parents[2] / ".cache" / "kafka"

# slf4j-simple writes to stderr without configuration files, and starts faster than log4j.
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>llmobs.tests</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class Unavailable(Exception):
    """A real broker cannot run here; the message is the one line to skip with."""


@dataclass(frozen=True)
class KafkaRuntime:
    """Java and the jars, ready to start brokers."""

    java: str
    classpath: str
    archive: Path

    def command(self, properties: Path, *, record_archive: Path | None = None) -> list[str]:
        """Return the command line of one broker.

        A broker told to `record_archive` writes its loaded classes there when it ends; the later
        ones map that file instead of parsing jars, which halves their start-up time.
        """
        sharing = []
        if record_archive is not None:
            sharing = [f"-XX:ArchiveClassesAtExit={record_archive}"]
        elif self.archive.exists():
            sharing = [f"-XX:SharedArchiveFile={self.archive}"]
        return [
            self.java,
            "-Xms64m",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "-Xlog:disable",
            "-Xlog:all=error:stderr",
            *sharing,
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
            "-cp",
            self.classpath,
            "kafka.Kafka",
            str(properties),
        ]


def load_runtime() -> KafkaRuntime:
    """Return the runtime, installing Java or fetching the jars where that is possible.

    The first call on a machine takes some seconds, later ones a few milliseconds.

    Raises:
        Unavailable: this machine cannot run a broker.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with _exclusive(CACHE / "lock"):
        java = _java()
        listing = CACHE / f"classpath-{KAFKA_VERSION}.txt"
        if not _complete(listing):
            _fetch(listing)
        classpath = listing.read_text().strip()
        # The JVM maps an archive only if jars and JVM are those that wrote it.
        identity = f"{_java_version(java)}\n{classpath}".encode()
        return KafkaRuntime(
            java, classpath, CACHE / f"classes-{hashlib.sha256(identity).hexdigest()[:16]}.jsa"
        )


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _complete(listing: Path) -> bool:
    """Are all jars of a remembered classpath still in the Maven cache?"""
    if not listing.exists():
        return False
    return all(Path(jar).exists() for jar in listing.read_text().strip().split(os.pathsep))


def _fetch(listing: Path) -> None:
    maven = shutil.which("mvn") or _install("maven", "mvn")
    project = CACHE / "pom"
    project.mkdir(exist_ok=True)
    (project / "pom.xml").write_text(_POM)
    fresh = listing.with_suffix(".new")
    _run(
        [maven, "-B", "-q", "dependency:build-classpath", f"-Dmdep.outputFile={fresh}"],
        "Maven could not fetch Apache Kafka",
        cwd=project,
    )
    fresh.replace(listing)


def _java() -> str:
    java = shutil.which("java") or _install("default-jre-headless", "java")
    found = re.search(r'version "(\d+)', _java_version(java))
    if found is None or int(found[1]) < _LEAST_JAVA:
        raise Unavailable(f"Kafka {KAFKA_VERSION} needs Java {_LEAST_JAVA} or later")
    return java


@functools.cache
def _java_version(java: str) -> str:
    return subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30).stderr


def _install(package: str, tool: str) -> str:
    """Install what a fresh machine lacks, where we may."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise Unavailable(f"{tool} is not installed, and only root with apt-get could install it")
    failure = f"{tool} is not installed and apt-get could not install {package}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run([apt, "update", "-qq"], failure, env=environment)
    _run(
        [apt, "install", "-y", "-qq", "--no-install-recommends", package], failure, env=environment
    )
    if (found := shutil.which(tool)) is None:
        raise Unavailable(failure)
    return found


def _run(
    command: Sequence[str],
    failure: str,
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> None:
    try:
        subprocess.run(
            command,
            cwd=cwd,
            env=env,
            check=True,
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_FETCH,
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stdout + error.stderr).strip().splitlines()
        raise Unavailable(f"{failure}: {lines[0] if lines else error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{failure}: {error}") from error
