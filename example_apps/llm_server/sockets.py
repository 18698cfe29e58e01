"""The WebSocket side: realtime and live sessions, and responses in lanes, one connection each."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anyio
from anyio.abc import TaskGroup
from starlette.websockets import WebSocket, WebSocketDisconnect

from . import faults, live, openai_responses
from .answered import Answered
from .body import Pace
from .conversation import Event, Json, Reply
from .errors import Dialect, WireError
from .faults import Faults
from .realtime import Session
from .words import identifier

_ENDLESS_PAUSE = 0.002


class _CutError(Exception):
    """The connection breaks here."""


class _Connection:
    """What both kinds of connection share: messages in and out, answers at their pace."""

    def __init__(self, socket: WebSocket, answered: Answered, pace: Pace, seed: str) -> None:
        self._socket = socket
        self._answered = answered
        self._pace = pace
        self._seed = seed
        self._path = socket.url.path
        self._limit = anyio.Lock()

    async def send(self, data: Json | str) -> None:
        """Send one event, whole: several tasks may have one to send."""
        async with self._limit:
            await self._socket.send_text(data if isinstance(data, str) else json.dumps(data))

    async def messages(self) -> AsyncIterator[Json]:
        """What the client sends, until it leaves."""
        while True:
            try:
                yield json.loads(await self._socket.receive_text())
            except (WebSocketDisconnect, RuntimeError):
                return

    async def tell(self, events: Iterable[Event], asked: Faults, more: Json) -> None:
        """Send the events of an answer."""
        is_first = True
        for number, event in enumerate(events):
            if "cut" in asked and number == 4:
                raise _CutError
            if event.is_token:
                await anyio.sleep(self._pace.first if is_first else self._pace.between)
                is_first = False
                if "endless" in asked:
                    await anyio.sleep(_ENDLESS_PAUSE)
            await self.send({**event.data, **more} if isinstance(event.data, dict) else event.data)

    def refuse(self, content: Json, error: WireError) -> None:
        """Note a refusal."""
        self._answered.note_error(self._path, content, error)

    def fail_if_asked(self, asked: Faults) -> None:
        """Fail as the model's name asks."""
        if asked.status is not None:
            raise WireError(asked.status)


class _Responses(_Connection):
    async def talk(self, tasks: TaskGroup, memory: openai_responses.Memory) -> None:
        lanes: dict[Any, anyio.Lock] = {}
        number = 0
        async for message in self.messages():
            number += 1
            lane = message.get("stream_id")
            lock = lanes.setdefault(lane, anyio.Lock())
            tasks.start_soon(self._answer, message, f"{self._seed}{number}", lock, memory)

    async def _answer(
        self, message: Json, seed: str, lock: anyio.Lock, memory: openai_responses.Memory
    ) -> None:
        lane = message.get("stream_id")
        more = {} if lane is None else {"stream_id": lane}
        content = {k: v for k, v in message.items() if k not in ("type", "stream_id", "event_id")}
        async with lock:
            try:
                if message.get("type") != "response.create":
                    raise WireError(400, f"Unknown event: {message.get('type')}")
                asked = faults.requested("", str(content.get("model")))
                self.fail_if_asked(asked)
                reply = openai_responses.reply({**content, "stream": True}, seed, memory)
            except WireError as error:
                self.refuse(content, error)
                body = error.body(Dialect.OPENAI, "req")
                await self.send({"type": "error", "status": error.status, **body, **more})
                return
            self._answered.note(self._path, content, reply)
            assert isinstance(reply.content, list)
            struck = faults.error_event(Dialect.OPENAI, "req", self._path, number=9)
            await self.tell(faults.in_stream(reply.content, asked, struck), asked, more)


class _Realtime(_Connection):
    async def talk(self, tasks: TaskGroup, model: str) -> None:
        self._begun: list[tuple[Reply, anyio.CancelScope, Json]] = []
        self._asked = faults.requested("", model)
        self._session = session = Session(model, self._seed)
        self._under_way: dict[str, anyio.CancelScope] = {}
        await self.send(session.event("session.created", session=session.settings))
        handlers: dict[str, Callable[[Json], Any]] = {
            "session.update": lambda message: [session.update(message["session"])],
            "conversation.item.create": lambda message: session.add(message["item"]),
            "input_audio_buffer.append": self._hear,
            "input_audio_buffer.commit": lambda message: session.commit(),
            "input_audio_buffer.clear": lambda message: [session.clear()],
            "response.create": self._create,
            "response.cancel": self._cancel,
        }
        async for message in self.messages():
            handle = handlers.get(message["type"])
            if handle is None:
                await self.send(self._error(message, WireError(400, "Unknown event"), "type"))
                continue
            for event in list(handle(message)):
                await self.send(event)
            while self._begun:
                tasks.start_soon(self._respond, *self._begun.pop(0))

    def _hear(self, message: Json) -> list[Json]:
        if not self._session.hear(message["audio"]):
            return []
        told = list(self._session.commit())
        return told + self._create({})

    def _error(self, message: Json, error: WireError, param: str | None = None) -> Json:
        body = error.body(Dialect.OPENAI, "req")["error"]
        named = {"event_id": message.get("event_id"), "param": param or body["param"]}
        return self._session.event("error", error={**body, **named})

    def _create(self, message: Json) -> list[Json]:
        asked = message.get("response") or {}
        content = {"model": self._session.settings["model"], "items": self._session.items, **asked}
        try:
            if self._under_way and asked.get("conversation") != "none":
                taken = "conversation_already_has_active_response"
                raise WireError(400, "There is an active response in progress.", code=taken)
            self.fail_if_asked(self._asked)
        except WireError as error:
            self.refuse(content, error)
            return [self._error(message, error)]
        reply = self._session.reply(asked)
        assert isinstance(reply.content, list)
        self._answered.note(self._path, content, reply)
        scope = self._under_way[reply.content[0].data["response"]["id"]] = anyio.CancelScope()  # type: ignore[index]
        self._begun.append((reply, scope, asked))
        return []

    async def _respond(self, reply: Reply, scope: anyio.CancelScope, asked: Json) -> None:
        events = reply.content
        assert isinstance(events, list)
        last: Any = events[-1].data
        response = last["response"]
        with scope:
            failed = {"type": "failed", "error": {"type": "server_error", "code": "server_error"}}
            failed["error"]["message"] = WireError(500).message  # type: ignore[index]
            ended = {**response, "status": "failed", "status_details": failed, "output": []}
            struck = Event({**last, "response": {**ended, "usage": None}})
            told = faults.in_stream(events, self._asked, struck)
            await self.tell(told, self._asked, {})
        self._under_way.pop(response["id"], None)
        if scope.cancel_called:
            reason = {"type": "cancelled", "reason": "client_cancelled"}
            ended = {**response, "status": "cancelled", "status_details": reason, "output": []}
            await self.send({**last, "response": ended})
        elif asked.get("conversation") != "none":
            self._session.items += response["output"]

    def _cancel(self, message: Json) -> list[Json]:
        named = message.get("response_id")
        for name, scope in self._under_way.items():
            if named in (None, name):
                scope.cancel()
                return []
        return [self._error(message, WireError(400, "No active response"), "response_id")]


class _Live(_Connection):
    async def talk(self) -> None:
        session = live.Session(self._seed)
        async for message in self.messages():
            reply = session.take(message)
            if "setup" in message:
                await self.send({"setupComplete": {}})
            if reply is not None:
                self._answered.note(self._path, session.asked, reply)
                assert isinstance(reply.content, list)
                asked = faults.requested("", session.asked["model"])
                await self.tell(faults.in_stream(reply.content, asked, Event({})), asked, {})


async def serve(
    socket: WebSocket, answered: Answered, pace: Pace, memory: openai_responses.Memory, seed: str
) -> None:
    """Speak with one client until either leaves."""
    seed = identifier("", 32, seed)
    await socket.accept(headers=[(b"x-request-id", b"req_" + seed.encode())])
    try:
        async with anyio.create_task_group() as tasks:
            if socket.url.path.endswith("/realtime"):
                model = socket.query_params.get("model") or socket.query_params.get(
                    "deployment", ""
                )
                await _Realtime(socket, answered, pace, seed).talk(tasks, model)
            elif socket.url.path.startswith("/ws/"):
                await _Live(socket, answered, pace, seed).talk()
            else:
                await _Responses(socket, answered, pace, seed).talk(tasks, memory)
            tasks.cancel_scope.cancel()
    except* _CutError:
        await socket.close(1011, "The server had an error")
    except* (WebSocketDisconnect, RuntimeError):
        pass  # it has left while it was told something
