"""Servers that Debian packages: found, or installed where this may be done."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

INSTALL_SECONDS = 300


class Unavailable(Exception):
    """Says in one line why a program is not there."""


def program(name: str, package: str) -> str:
    """
    Return the path of a program, installing its package if we are root and it is not there.

    Raises:
        Unavailable: It is not there and cannot be installed.
    """
    if found := _find(name):
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"there is no {name} here: apt-get install {package}")
    with Path(tempfile.gettempdir(), "llmobs-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of xdist may want it
        if not _find(name):
            _install(package)
    if found := _find(name):
        return found
    raise Unavailable(f"Debian's {package} brings no {name}")


def _find(name: str) -> str | None:
    # Debian keeps PostgreSQL's programs out of the path, by version.
    if found := sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")):
        return str(found[-1])
    return shutil.which(name)


def _install(package: str) -> None:
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    for command in (["apt-get", "update", "--quiet"], install):
        try:
            subprocess.run(
                command, check=True, capture_output=True, timeout=INSTALL_SECONDS,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"apt-get cannot install {package}: {error}") from None
