"""
Capture of calls of models made over WebSocket with the websockets library: OpenAI's realtime and responses,
Gemini's live sessions.

::

    from llmobs.contrib import websockets

    websockets.instrument()

Covers what the openai package connects (``client.realtime.connect()``, ``client.responses.connect()``) and
every connection of ``websockets`` to these paths, with asyncio, threads and trio. Each connection holds a
protocol that does no I/O; ours goes around it, and notes what passes. No method that sends is patched; the
``__init__`` of the connections is wrapped, and :func:`uninstrument` gives it back.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from llmobs.client.async_client import Recording
from llmobs.contrib._importing import Imports
from llmobs.contrib._patching import Patches
from llmobs.contrib._wire.beginning import Options
from llmobs.contrib._wire.call import CaptureContent, checked_mode, report
from llmobs.contrib._wire.dialogue import Dialogue
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.realtime_dialogue import dialogue_for
from llmobs.contrib._wire.recognise import recognise_socket

__all__ = ["instrument", "uninstrument"]

_MODULES: Final = tuple(f"websockets.{kind}.client" for kind in ("asyncio", "sync", "trio"))
_CONTINUED, _TEXT, _BINARY, _CLOSE = 0, 1, 2, 8
"""Opcodes of frames (RFC 6455, 5.2)."""
MAX_MESSAGE: Final = 32 * 1024 * 1024
"""Bytes of a message in several frames that are put together; of a longer one nothing is noted."""

_patches: Final = Patches()
_imports: Final = Imports()
_connections: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Record the model calls that this process makes over WebSocket, through connections old and new.

    Of a connection that exists already, what it told of its session before is not known. Twice is
    harmless; the options of the last time hold. Needs websockets 13 or newer.

    Args:
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.

    Raises:
        ValueError: *capture_content* is none of the three.
    """
    checked_mode(capture_content)
    options = Options(llmobs_client, capture_content)
    uninstrument()

    def cover(connection: Any) -> None:
        protocol = getattr(connection, "protocol", None)
        if protocol is None:
            return  # its constructor raised
        uri = getattr(protocol, "uri", None) or protocol.wsuri  # of websockets 13 and 14
        target = recognise_socket(uri.host, uri.resource_name)
        if target is not None:
            connection.protocol = _Protocol(protocol, dialogue_for(target, options))
            _connections.add(connection)

    def watch(module: Any) -> None:
        kinds = (module.ClientConnection,)
        _patches.every(kinds, cover, "instrument a connection of websockets")

    for name in _MODULES:
        _imports.when(name, watch)


def uninstrument() -> None:
    """Undo :func:`instrument`: connections have the protocols they had; what is under way ends there."""
    _imports.forget()
    _patches.undo()
    for connection in list(_connections):
        if isinstance(connection.protocol, _Protocol):
            connection.protocol = connection.protocol.give_up()
    _connections.clear()


class _Protocol:
    """The protocol of a connection (``websockets.client.ClientProtocol``), noting what passes."""

    def __init__(self, inner: Any, dialogue: Dialogue) -> None:
        own = {"inner": inner, "dialogue": dialogue, "sending": _Message(), "coming": _Message()}
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inner"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)

    def __del__(self) -> None:
        self.dialogue.closed(Ending.CLOSED)  # if nobody has closed it

    def give_up(self) -> Any:
        self.dialogue.closed(Ending.CLOSED)
        return self.inner

    def send_text(self, data: Any, fin: bool = True) -> None:
        self.inner.send_text(data, fin)
        self._note_sent(_TEXT, data, fin)

    def send_binary(self, data: Any, fin: bool = True) -> None:
        self.inner.send_binary(data, fin)
        self._note_sent(_BINARY, data, fin)

    def send_continuation(self, data: Any, fin: bool) -> None:
        self.inner.send_continuation(data, fin)
        self._note_sent(_CONTINUED, data, fin)

    def send_close(self, *args: Any, **kwargs: Any) -> None:
        self.inner.send_close(*args, **kwargs)
        self.dialogue.closed(Ending.CLOSED)

    def events_received(self) -> list[Any]:
        events: list[Any] = self.inner.events_received()
        for event in events:
            try:
                self._note_come(event)
            except Exception as error:  # noqa: BLE001 - reported; the host must not notice
                report(error)
        return events

    def receive_eof(self) -> None:
        self.inner.receive_eof()
        # It is closed by now, one way or another: by both ends, by one of them, or by the network.
        is_closed = self.inner.state.name == "CLOSED"
        self.dialogue.closed(Ending.FAILED, self.inner.close_exc if is_closed else None)

    def _note_sent(self, opcode: int, data: Any, fin: bool) -> None:
        whole = self.sending.add(opcode, data, fin)
        if whole is not None:
            self.dialogue.sent(whole)

    def _note_come(self, event: Any) -> None:
        opcode = getattr(event, "opcode", None)
        if opcode is None:
            self.dialogue.opened(dict(event.headers.raw_items()))  # the answer to the handshake
        elif opcode in (_CONTINUED, _TEXT, _BINARY):
            whole = self.coming.add(opcode, event.data, event.fin)
            if whole is not None:
                self.dialogue.received(whole)


class _Message:
    """A message of one side, put together of its frames."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0

    def add(self, opcode: int, data: Any, fin: bool) -> bytes | None:
        """Return the whole message, once it is one."""
        if opcode != _CONTINUED:
            self._frames, self._size = [], 0
            if fin:
                return bytes(data)
        self._size += len(data)
        if self._size <= MAX_MESSAGE:
            self._frames.append(bytes(data))
        if not fin:
            return None
        frames, self._frames = self._frames, []
        return b"".join(frames) if self._size <= MAX_MESSAGE else None
