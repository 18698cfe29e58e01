"""
The keys of a collector: who may send to it and read from it, and for which project.

They are kept in a file beside the store, not in it: a restored backup must not bring revoked keys
back to life, and a store that was damaged and moved away must not lock everybody out. The file holds
hashes. A key has 238 random bits, so that one SHA-256 of it is enough: there is nothing to guess.
"""

import os
import re
import secrets
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final, Literal

import anyio
import msgspec

from llmobs.errors import ConfigurationError, LLMObsError, StoreError
from llmobs.runtime.paths import say_if_open
from llmobs.runtime.troubles import Troubles

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None
else:
    fcntl = _fcntl

__all__ = ["MAY", "Key", "KeyFile", "KeyNotFoundError", "Keys", "May", "looks_like_a_key"]

May = Literal["ingest", "evaluate", "read"]
MAY: Final[tuple[May, ...]] = ("ingest", "evaluate", "read")
"""What a key may: send everything, send evaluations alone, read."""

LOOK_SECONDS: Final = 0.25
"""How long a running server takes a look at the file for true."""
MAX_NAME: Final = 100
"""Characters of the name of a key or of a project."""

_ID: Final = string.ascii_lowercase + string.digits
_SECRET: Final = string.ascii_letters + string.digits
_KEY: Final = re.compile(r"llmobs_([a-z0-9]{10})_[A-Za-z0-9]{40}")
_NOBODYS: Final = sha256(b"").digest()


class KeyNotFoundError(LLMObsError, LookupError):
    """No key has this id, or several have this name."""


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a key; not the key."""

    id: str
    """Stands in the key itself, in lists and in the access log; no secret."""
    created: datetime
    name: str = ""
    """Whose it is, or what it is for."""
    project: str | None = None
    """The one it writes to and reads from; None: all."""
    may: frozenset[May] = frozenset(MAY)
    hash: str = ""
    """SHA-256 of the key, in hexadecimal digits; empty once it is revoked."""
    revoked: datetime | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, project={self.project!r}, may={sorted(self.may)})"


class _Content(msgspec.Struct):
    keys: list[Key]
    version: int = 1


def looks_like_a_key(text: str) -> bool:
    """Whether *text* has the form of a key of ours, valid or not."""
    return _KEY.fullmatch(text) is not None


class KeyFile:
    """
    The file of the keys of one store: blocking.

    Args:
        store: The path of the store; the keys lie beside it, in ``*.keys``.
    """

    def __init__(self, store: Path) -> None:
        self._store = store = store.expanduser().absolute()
        self.path = store.with_name(f"{store.name}.keys")

    def read(self) -> list[Key]:
        """
        Return the keys, the oldest first, revoked ones too; none if there is no file.

        Raises:
            StoreError: It cannot be read, is damaged, or from a newer llmobs.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"cannot read the keys in {self.path}: {error.strerror}") from None
        try:
            content = msgspec.json.decode(data, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise StoreError(
                f"the keys in {self.path} are damaged: restore the file, or move it away and make new keys"
            ) from None
        if content.version != 1:
            raise StoreError(f"the keys in {self.path} were written by a newer llmobs: upgrade")
        return content.keys

    def add(
        self, *, name: str = "", project: str | None = None, may: Sequence[str] = ("ingest",)
    ) -> tuple[Key, str]:
        """
        Make a key.

        Args:
            name: Whose it is, or what it is for.
            project: The one it writes to and reads from; None: all.
            may: Of `MAY`, or ``all``.

        Returns:
            What is known of it, and the key itself, which is kept nowhere.

        Raises:
            ConfigurationError: One of these is unusable; says which.
            StoreError: The file is damaged, from a newer llmobs, or cannot be written.
        """
        for what, text in (("name", name), ("project", project or "")):
            if len(text) > MAX_NAME or not text.isprintable():
                raise ConfigurationError(
                    f"{what} must be up to {MAX_NAME} printable characters on one line"
                )
        if project is not None and not project.strip():
            raise ConfigurationError("project must not be empty; leave it out for all projects")
        allowed = frozenset(MAY) if "all" in may else frozenset(may)
        if not allowed or not allowed <= set(MAY):
            raise ConfigurationError(f"may must be of {', '.join(MAY)}, or all")
        with self._changing() as keys:
            taken = {key.id for key in keys}
            id = _random(_ID, 10)
            while id in taken:
                id = _random(_ID, 10)
            text = f"llmobs_{id}_{_random(_SECRET, 40)}"
            key = Key(
                id=id,
                created=datetime.now(UTC),
                name=name,
                project=project,
                may=msgspec.convert(allowed, frozenset[May]),
                hash=sha256(text.encode()).hexdigest(),
            )
            keys.append(key)
        return key, text

    def revoke(self, which: str) -> Key:
        """
        Take a key's rights; running servers know within a second.

        Args:
            which: Its id, its name where no other key has it, or the key itself.

        Raises:
            KeyNotFoundError: There is none, or several.
            StoreError: The file is damaged, from a newer llmobs, or cannot be written.
        """
        if found := _KEY.fullmatch(which):
            which = found[1]
        with self._changing() as keys:
            fitting = [key for key in keys if key.id == which] or [
                key for key in keys if key.name == which and key.revoked is None
            ]
            if len(fitting) != 1:
                words = "several keys have this name" if fitting else "no key has this id or name"
                raise KeyNotFoundError(f"{words}: llmobs keys list shows their ids")
            (old,) = fitting
            key = msgspec.structs.replace(old, hash="", revoked=old.revoked or datetime.now(UTC))
            keys[keys.index(old)] = key
        return key

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        try:
            if not self.path.exists():
                self._put(_Content([]), os.link)
            with self._locked():
                keys = self.read()
                yield keys
                self._put(_Content(keys), os.replace)
        except OSError as error:
            raise StoreError(f"cannot write the keys in {self.path}: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep out who else changes it: of two keys made at once, both must be there."""
        while True:
            with self.path.open("rb") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                found = os.stat(self.path)
                mine = os.fstat(file.fileno())
                if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                    yield
                    return

    def _put(self, content: _Content, place: Callable[[str, Path], None]) -> None:
        """Write it whole beside where it belongs, and *place* it there: who reads it never sees a part."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        number, name = mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # mode 0600
        try:
            with open(number, "wb") as file:
                file.write(msgspec.json.encode(content))
                file.flush()
                os.fsync(file.fileno())
            _give_to_owner(name, self._store)
            with suppress(FileExistsError):  # somebody else has begun it meanwhile
                place(name, self.path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)


class Keys:
    """
    The keys as a running server knows them, for one event loop.

    Args:
        file: Where they are.

    Raises:
        StoreError: It cannot be read, is damaged, or from a newer llmobs.
    """

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._troubles = Troubles()
        self._lock = anyio.Lock()
        self._looked_at = time.monotonic()
        self._file_state = _state_of(file.path)
        self._known = _by_id(file.read())
        self._failed = False
        say_if_open(file.path, "file of keys")

    def __len__(self) -> int:
        """Count the keys that are not revoked."""
        return len(self._known)

    async def find(self, text: str) -> Key | None:
        """
        Return the key that *text* is; None if it is none of ours, or was revoked.

        Raises:
            StoreError: The file cannot be read now.
        """
        found = _KEY.fullmatch(text)
        key = await self.known(found[1] if found is not None else "")
        # Which ids there are is no secret; how much of a secret is right must not be told by the time it takes.
        known = bytes.fromhex(key.hash) if key is not None else _NOBODYS
        same = compare_digest(known, sha256(text.encode("utf-8", "surrogatepass")).digest())
        return key if same else None

    async def known(self, id: str) -> Key | None:
        """
        Return what is known of the key with this id; None if there is none, or it was revoked.

        Raises:
            StoreError: The file cannot be read now.
        """
        now = time.monotonic()
        await self._see_since(now - LOOK_SECONDS)
        if id and id not in self._known:
            await self._see_since(now)  # it may have been made a moment ago
        if self._failed:
            raise StoreError(f"cannot read the keys in {self._file.path} now")
        return self._known.get(id)

    async def _see_since(self, moment: float) -> None:
        """See that the file was looked at since *moment*; who waits for the same look shares it."""
        if self._looked_at >= moment:
            return
        async with self._lock:
            if self._looked_at < moment:
                begun = time.monotonic()
                await anyio.to_thread.run_sync(self._look)
                self._looked_at = begun

    def _look(self) -> None:
        state = _state_of(self._file.path)
        if state == self._file_state and not self._failed:
            return
        try:
            self._known = _by_id(self._file.read())
            # From before it was read: what came meanwhile is read next time.
            self._file_state = state
            self._failed = False
        except StoreError as error:
            # A key that was revoked must not go on because the file is damaged.
            self._failed = True
            self._troubles.log("keys", "llmobs: %s; until then requests with keys get 503", error)


def _by_id(keys: Sequence[Key]) -> Mapping[str, Key]:
    return {
        key.id: key
        for key in keys
        if key.revoked is None and re.fullmatch("[0-9a-f]{64}", key.hash) is not None
    }


def _state_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _give_to_owner(name: str, store: Path) -> None:
    """Let the collector read what root has made: it runs as the store's owner."""
    if os.name == "posix" and os.geteuid() == 0:
        with suppress(OSError):
            owner = os.stat(store if store.exists() else store.parent)
            os.chown(name, owner.st_uid, owner.st_gid)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
