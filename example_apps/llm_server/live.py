"""Gemini's live sessions: what was said on both sides, and whose turn it is.

Wire rules: Gemini API reference, "Live API (WebSockets)", and the types of the `google-genai` package.
"""

from collections.abc import Iterator

from . import gemini, tokens
from .conversation import Answer, Event, Json, Reply, Usage


class Session:
    """One session; `asked` is all that the model is told."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._turns = 0
        self._said: list[Json] = []
        self.asked: Json = {"model": "", "contents": []}

    def take(self, message: Json) -> Reply | None:
        """Note a message of the client's; return the model's turn, if it is that."""
        message = gemini.camel(message)
        if "setup" in message:
            setup = gemini.camel(message["setup"])
            self.asked |= {**setup, "model": setup["model"].removeprefix("models/")}
        elif told := gemini.camel(message.get("clientContent")):
            self._add(*(told.get("turns") or ()))
            if told.get("turnComplete"):
                return self._turn()
        elif told := gemini.camel(message.get("toolResponse")):
            given = [{"functionResponse": each} for each in told["functionResponses"]]
            self._add({"role": "user", "parts": given})
            return self._turn()
        elif text := (message.get("realtimeInput") or {}).get("text"):
            self._add({"role": "user", "parts": [{"text": text}]})
            return self._turn()
        return None

    def _turn(self) -> Reply:
        self._turns += 1
        [said], usage = gemini.answers(self.asked)
        parts = list(gemini.parts(said, f"{self._seed}{self._turns}"))
        self._said = [{"role": "model", "parts": parts}]
        return Reply(list(self._events(parts, said, usage)), usage, (said,))

    def _add(self, *contents: Json) -> None:
        self.asked = {**self.asked, "contents": [*self.asked["contents"], *self._said, *contents]}
        self._said = []

    def _events(self, parts: list[Json], said: Answer, usage: Usage) -> Iterator[Event]:
        counts = {
            "promptTokenCount": usage.prompt,
            "responseTokenCount": usage.output - usage.thinking,
            "thoughtsTokenCount": usage.thinking,
            "totalTokenCount": usage.prompt + usage.output,
        }
        for part in parts:
            for text in tokens.pieces(part.get("text") or ""):
                turn = {"role": "model", "parts": [{**part, "text": text}]}
                yield Event({"serverContent": {"modelTurn": turn}}, is_token=True)
        if said.calls:
            calls = [part["functionCall"] for part in parts if "functionCall" in part]
            yield Event({"toolCall": {"functionCalls": calls}, "usageMetadata": counts})
        else:
            yield Event({"serverContent": {"generationComplete": True}})
            yield Event({"serverContent": {"turnComplete": True}, "usageMetadata": counts})
