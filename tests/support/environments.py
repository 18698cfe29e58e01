"""Environments of their own, kept in ``.cache`` from one run to the next, for packages that exclude each other."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_packages(home: Path, packages: Sequence[str], *, with_llmobs: bool = False) -> Path:
    """
    Return *home*, an environment with these packages, made if it is not there or has others.

    Args:
        with_llmobs: Install this source tree besides, editable, without extras.

    Raises:
        subprocess.CalledProcessError: They cannot be installed here.
    """
    wanted = "\n".join(packages)
    if with_llmobs:  # which may need others than the last time
        wanted += "\n" + (ROOT / "pyproject.toml").read_text().partition("[dependency-groups]")[0]
    if _has(home, wanted):
        return home
    uv, python = [sys.executable, "-m", "uv"], home / "bin" / "python"
    subprocess.run([*uv, "venv", "-q", "--clear", "-p", sys.executable, home], check=True)
    ours = ["--editable", ROOT] if with_llmobs else []
    subprocess.run([*uv, "pip", "install", "-q", "-p", python, *packages, *ours], check=True)
    (home / "ready").write_text(wanted)
    return home


def npm_packages(home: Path, packages: Sequence[str]) -> Path:
    """
    Return *home*, a folder with these packages of npm, made if it is not there or has others.

    Raises:
        FileNotFoundError: npm is not there.
        subprocess.CalledProcessError: They cannot be installed here.
    """
    wanted = "\n".join(packages)
    if _has(home, wanted):
        return home
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm")
    home.mkdir(parents=True, exist_ok=True)
    (home / "package.json").write_text('{"private": true}')
    quiet = ("--no-audit", "--no-fund", "--loglevel", "error")
    subprocess.run([npm, "install", *quiet, *packages], cwd=home, check=True)
    (home / "ready").write_text(wanted)
    return home


def _has(home: Path, wanted: str) -> bool:
    ready = home / "ready"
    return ready.exists() and ready.read_text() == wanted
