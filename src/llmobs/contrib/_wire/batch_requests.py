"""
What the requests of batches asked, kept for their results, if these come to the same process.

- Anthropic: the batch is made with ``requests``, each a ``custom_id`` and ``params``; its ``id`` names it.
- Gemini: with an array of ``requests``, each with ``metadata.key``; the operation's ``name`` names it. Or with
  a file, ``key`` and ``request`` a line.
- OpenAI and who is compatible: a file, ``custom_id``, ``url`` and ``body`` a line; the batch says which file it
  reads, and once it is over, which it wrote. Mistral: so, or with ``requests``.

Of the latest batches the first bytes are kept, as much of each as of any other request. Sources: see
`batch_results`, and "Files" in the same references.
"""

import re
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakValueDictionary

from llmobs.contrib._wire.batch_results import INLINED_REQUESTS
from llmobs.contrib._wire.items import ArrayItems, Items, LineItems, request_name
from llmobs.contrib._wire.latest import Latest
from llmobs.contrib._wire.partial import read_head
from llmobs.recorded.jsontext import Json, as_object, as_text
from llmobs.runtime.time_slices import Steps

__all__ = ["Requests", "made_of", "remember", "remember_files", "requests_of"]

_BATCHES: Final = 16
"""So many are remembered."""
_SLICE: Final = 16 * 1024
"""Where a body's kind shows."""
_STEP: Final = 2 * 1024
"""What is cut at a time, in the pipeline."""
_REQUEST: Final = re.compile(rb'"(?:custom_id|request)"\s{0,64}:')
_ID: Final = r'"(?:files/)?([^"\\]{1,200})"'
_READ: Final = re.compile(
    rf'"(?:input_file_id|fileName|file_name)"\s{{0,64}}:\s{{0,64}}{_ID}'
    rf'|"input_files"\s{{0,64}}:\s{{0,64}}\[\s{{0,64}}{_ID}'.encode()
)
_WRITTEN: Final = re.compile(
    rf'"(?:output_file_id|error_file_id|output_file|error_file|responsesFile)"\s{{0,64}}:\s{{0,64}}{_ID}'.encode()
)


class Requests:
    """
    The requests of one batch, as they were sent.

    Args:
        body: Of the request that made the batch, or of the file; its beginning, if it is long.
        mode: What may be kept of the results; see `llmobs.contrib._wire.call.policy`.
    """

    def __init__(self, body: bytes, mode: str) -> None:
        self.mode = mode
        self._found: bytes | tuple[dict[str, bytes], list[bytes]] = body
        """The body, until somebody asks: then its items by name, and in their order. Threads see one or the other."""

    def find(self, name: Any, place: int) -> Steps[bytes | None]:
        """
        Return one, if it is there.

        Args:
            name: What the result calls it.
            place: Of the result among all, from 0: those without names are in the order of the requests.
        """
        found = self._found
        if isinstance(found, bytes):
            named: dict[str, bytes] = {}
            placed = []
            for item in _items(found):
                yield
                if item is not None:
                    placed.append(item)
                    if known := _name_in(item):
                        named[known] = item
            self._found = found = named, placed
        named, placed = found
        if name and type(name) is str:
            return named.get(name)
        return placed[place] if place < len(placed) else None


def _items(body: bytes) -> Iterator[bytes | None]:
    """Yield the items of *body*, and None now and then, where one is long."""
    array = INLINED_REQUESTS.search(body[:_SLICE])
    items: Items = ArrayItems(INLINED_REQUESTS) if array else LineItems()
    item = bytearray()
    for at in range(0, len(body), _STEP):
        for piece, is_end in items.feed(body[at : at + _STEP]):
            item += piece
            if is_end:
                yield bytes(item)
                item.clear()
        yield None
    if not array and item.strip():
        yield bytes(item)


def _name_in(item: bytes) -> str | None:
    if b"{" not in item[:64]:  # a line of the form that a file was sent in
        return None
    known = as_object(read_head(item))
    name = request_name(known.get("custom_id"), known.get("key"), known.get("metadata"))
    return name if type(name) is str else None


_known: Final[WeakValueDictionary[tuple[str, str], Requests]] = WeakValueDictionary()
"""By host, and id of a batch or a file."""
_kept: Final = Latest[int, Requests](_BATCHES)
"""What holds them: several ids lead to one."""


def remember(host: str, body: bytes, mode: str, answer: bytes) -> None:
    """
    Keep the requests of a batch, or of a file that may become one.

    Args:
        host: Who was asked.
        body: Of the request; its beginning if it is long.
        mode: See `Requests`.
        answer: The beginning of what came: it names the batch or the file.
    """
    name = made_of(as_object(read_head(answer)))
    if not name:
        return
    if (found := _READ.search(body)) and not INLINED_REQUESTS.search(body[:_SLICE]):
        requests = requests_of(host, _id_in(found))
    elif _REQUEST.search(body[:_SLICE]):
        requests = Requests(body, mode)
        _kept.put(id(requests), requests)
    else:
        return  # somebody's file
    if requests is not None:
        _known[host, name] = requests


def made_of(answer: Json) -> str | None:
    """Return the id of the batch or file that *answer* says was made."""
    named = as_object(answer.get("file")) or answer
    found = as_text(named.get("id")) or as_text(named.get("name")) or ""
    return found.rpartition("/")[2] or None


def remember_files(host: str, batch: str, answer: bytes) -> None:
    """
    Note the files of a batch: what its results say.

    Args:
        host: Who was asked.
        batch: Its id.
        answer: What the host says of it.
    """
    requests = requests_of(host, batch)
    if requests is None and (found := _READ.search(answer)):
        requests = requests_of(host, _id_in(found))
    if requests is not None:
        for written in _WRITTEN.finditer(answer):
            _known[host, _id_in(written)] = requests


def requests_of(host: str, name: str) -> Requests | None:
    """Return the requests of a batch, by its id or that of a file of it; None if nothing is known of it."""
    return _known.get((host, name))


def _id_in(found: re.Match[bytes]) -> str:
    return next(each for each in found.groups() if each).decode("utf-8", "replace")
