"""Files that hold prompts: whether they can be written, how they are made, and who else may read them."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISREG, S_ISVTX
from urllib.parse import unquote, urlsplit

from llmobs.errors import ConfigurationError
from llmobs.runtime.troubles import Troubles

__all__ = [
    "check_directory",
    "check_file",
    "create",
    "path_of",
    "say_if_open",
    "say_if_relative",
    "say_if_shared",
]

_troubles = Troubles(math.inf)


def check_file(path: Path) -> None:
    """
    See that the file *path* can be written, or made with the directories above it. Makes nothing.

    Raises:
        ConfigurationError: It cannot; says which part of the path is in the way, and how.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise ConfigurationError(f"{path} is a link to nothing: remove it")
        if path.is_dir():
            raise ConfigurationError(f"{path} is a directory; name a file")
        if path.exists():
            if not os.access(path, os.W_OK):
                raise ConfigurationError(f"{path} cannot be written by this user")
        else:
            check_directory(path.parent)
    except (OSError, ValueError) as error:  # a name too long, a directory closed to us, a null byte
        if isinstance(error, ConfigurationError):
            raise
        words = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: {words}") from None


def check_directory(path: Path) -> None:
    """
    See that files can be made in the directory *path*, or that itself can be. Makes nothing.

    Raises:
        ConfigurationError: They cannot; says what is in the way.
    """
    nearest = next(place for place in _upwards(path) if os.path.lexists(place))
    if not nearest.is_dir():
        raise ConfigurationError(f"{nearest} is not a directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the directory {nearest} cannot be written by this user; "
            "give it to the user, or name another place"
        )


def _upwards(path: Path) -> Iterator[Path]:
    path = path.absolute()
    yield path
    yield from path.parents


def create(path: Path) -> None:
    """
    Make the file *path* (mode 0600: it will hold prompts), and the directories above, where missing.

    Raises:
        OSError: It cannot be made; or it is a link to nothing, which somebody may have laid out to
            have a file made elsewhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if not path.exists():
        raise FileNotFoundError(f"{path} is a link to nothing: remove it")


def say_if_open(path: Path, what: str) -> None:
    """Warn, once per process, if every user of this machine may read or change *path*."""
    with suppress(OSError):
        found = path.stat().st_mode
        mode = S_IMODE(found)
        if mode & 0o007 and (S_ISREG(found) or S_ISDIR(found)):
            _troubles.log(
                f"open:{path}",
                "llmobs: every user of this machine can open the %s %s (mode %03o), which holds "
                "prompts; to keep it private: chmod -R go= %s",
                what,
                path,
                mode,
                path if S_ISDIR(found) else f"{path}*",
            )


def say_if_shared(path: Path) -> None:
    """Warn, once per process, if another user may put files of their own into the directory *path*."""
    with suppress(OSError):
        found = path.stat()
        is_shared = found.st_mode & 0o002 and not found.st_mode & S_ISVTX
        if is_shared or found.st_uid not in (0, os.geteuid()):
            _troubles.log(
                f"shared:{path}",
                "llmobs: other users of this machine may put a spool of theirs in place of ours in %s "
                "(mode %04o, user %d), and read the prompts in it: make it this user's alone, "
                "chmod o-w %s, or name another spool_dir",
                path,
                S_IMODE(found.st_mode),
                found.st_uid,
                path,
            )


def say_if_relative(url: str, path: Path) -> None:
    """Warn, once per process, if the relative *path* of *url* looks like one meant from the root."""
    # /tmp/x.db with a slash too few would be written to ./tmp/x.db, and looked for in vain.
    if len(path.parts) < 2 or path.is_absolute() or path.parts[0].startswith("~"):
        return
    if os.path.samefile(".", "/"):
        return
    if Path("/", path.parts[0]).is_dir():
        _troubles.log(
            f"relative:{url}",
            "llmobs: %s means %s; for /%s write four slashes: %s",
            url,
            path.absolute(),
            path,
            url.replace(":///", ":////", 1),
        )


def path_of(url: str, *, example: str) -> str:
    """
    Return the file path of a ``scheme:///path`` URL; three slashes are relative, four absolute.

    Warns where a relative one looks as if the fourth slash was forgotten.

    Raises:
        ConfigurationError: There is a host, or no path.
    """
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not path or not url.partition(":")[2].startswith("///"):
        raise ConfigurationError(f"needs a path after three slashes, for instance {example}")
    say_if_relative(url, Path(path))
    return path
