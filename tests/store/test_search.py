"""Full text search: what is found, in which order, and what a query may hold."""

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from llmobs import AgentStepEvent, ErrorEvent, ErrorInfo, EvaluationEvent, Event, ToolCallEvent
from llmobs.store import search as searching
from llmobs.store import text_index
from llmobs.store.reader import Reader
from llmobs.store.records import Found, Hit, QueryError, RetentionPolicy, RunFilter, to_microseconds
from llmobs.store.text_index import TextIndex, index_beside
from llmobs.store.writer import Writer
from tests.support.stores import START, at, call, index_texts, run, write_store

EVERYTHING = RunFilter()
SHARED = "You are a helpful assistant of the shop, and know its returns policy by heart. " * 6


def messages(text: str, system: str = SHARED) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def store_of(path: Path, events: Iterable[Event]) -> Path:
    return index_texts(write_store(path / "x.db", list(events)))


def pages(path: Path, text: str, size: int = 20, where: RunFilter = EVERYTHING) -> Iterator[Found]:
    before = None
    with Reader(path) as reader:
        for _ in range(10_000):
            found = reader.search(text, size, before=before, where=where)
            yield found
            before = found.older
            if before is None:
                return
    raise AssertionError("it goes on for ever")


def ids(path: Path, text: str, size: int = 20, where: RunFilter = EVERYTHING) -> list[str]:
    return [hit.event_id for page in pages(path, text, size, where) for hit in page.hits]


def marked(hit: Hit) -> list[str]:
    return [part.text for part in hit.snippet if part.hit]


TEXTS = {
    "plain": "Where is my blue parcel? It was sent on Monday.",
    "other": "A parcel that is blue; blue as the sky",
    "accents": "Le café est fermé à Zürich",
    "hanzi": "请问退款政策是什么, 我的订单还没到。",
    "kana": "返品はできますか。東京都に住んでいます",
    "hangul": "환불을 받고 싶습니다",
    "thai": "ฉันต้องการเงินคืน",
    "syntax": 'a OR b NOT "c" NEAR(d) text:e * ^f -g {h} AND',
    "code": "raise ValueError(f'{x!r}') # snake_case_name foo.bar",
    "sign": "c\u0327a fait 20 €",
}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events = [
        call(name, number, event_id=name, prompt=text, response="")
        for number, (name, text) in enumerate(TEXTS.items())
    ]
    return store_of(tmp_path_factory.mktemp("many"), events)


@pytest.mark.parametrize(
    ("text", "found", "hits"),
    [
        ("parcel", ["other", "plain"], ["parcel"]),
        ("blue parcel", ["other", "plain"], ["parcel", "blue", "blue"]),
        ('"blue parcel"', ["plain"], ["blue parcel"]),
        ('"parcel blue"', [], []),
        ('"blue parcel" monday', ["plain"], ["blue parcel", "Monday"]),
        ("PARCEL?", ["other", "plain"], ["parcel"]),
        ("parce", [], []),
        ("cafe ferme zurich", ["accents"], ["café", "fermé", "Zürich"]),
        ("CAFÉ", ["accents"], ["café"]),
        ("ça", ["sign"], None),
        ("退款", ["hanzi"], ["退款"]),
        ("款政", ["hanzi"], ["款政"]),
        ("政款", [], []),
        ("订单 退款", ["hanzi"], ["退款", "订单"]),
        ("東京", ["kana"], ["東京"]),
        ("できますか", ["kana"], ["できますか"]),
        ("환불", ["hangul"], ["환불"]),
        ("เงินคืน", ["thai"], None),
        ('"foo.bar"', ["code"], ["foo.bar"]),
        ("snake_case_name", ["code"], ["snake_case_name"]),
        ("OR", ["syntax"], ["OR"]),
        ("near(d)", ["syntax"], ["NEAR(d"]),
        ("text:e", ["syntax"], ["text:e"]),
        ("NOT parcel", [], []),
        ("parcel OR café", [], []),
        ("parcel NEAR blue", [], []),
        ("parcel*", ["other", "plain"], ["parcel"]),
        ("-parcel", ["other", "plain"], ["parcel"]),
        ("^where", ["plain"], ["Where"]),
        ('"', [], []),
        ('""', [], []),
        ("' OR 1=1 --", [], []),
        ("parcel \"", ["other", "plain"], ["parcel"]),
        ('"parcel', ["other", "plain"], ["parcel"]),
        ("+++", [], []),
        ("\0", [], []),
        ("par\0cel", [], []),
        ("\ud800 parcel", ["other", "plain"], None),
        ("\ue000", [], []),
        ("(((((", [], []),
        ("parcel " * 100, ["other", "plain"], ["parcel"]),
        ("a " * 499, ["syntax", "accents", "other"], ["a"]),
        ("٣", [], []),
    ],
)  # fmt: skip
def test_what_is_found_and_marked(
    many: Path, text: str, found: list[str], hits: list[str] | None
) -> None:
    with Reader(many) as reader:
        page = reader.search(text)
    assert [hit.event_id for hit in page.hits] == found
    assert (page.older, page.searched_to, page.waiting.events) == (None, None, 0)
    if found and hits is not None:
        assert marked(page.hits[0]) == hits
    for hit in page.hits:
        assert "".join(part.text for part in hit.snippet).strip("… ") in TEXTS[hit.event_id]


def test_no_query_raises_but_one_too_long(many: Path) -> None:
    rng = random.Random(3)
    alphabet = "\"'()*:^-+{}[]<>=;,. \0\n\t\\%_?a款\ue000\ud800\u0301AND OR NOT NEAR"
    with Reader(many) as reader:
        for _ in range(150):
            reader.search("".join(rng.choices(alphabet, k=rng.randint(0, 60))))
        with pytest.raises(QueryError, match="longer than"):
            reader.search("a" * 1_001)
        assert len(reader.search("parcel", before=(at(1), "gone since")).hits) == 2
        assert len(reader.search("parcel", before=(at(1), "other")).hits) == 1


def test_everything_that_is_given_or_made_is_found(tmp_path: Path) -> None:
    events = [
        call("r", 0, event_id="answer", response="violet"),
        call("r", 1, event_id="parts", prompt=[{"role": "user", "content": [{"type": "text", "text": "indigo"}]}]),
        call("r", 2, event_id="failed", error=ErrorInfo("too many azure requests"), status="error"),
        ToolCallEvent(event_id="tool", run_id="r", timestamp=at(3), tool_name="t", input={"q": "teal"},
                      output=["olive"]),
        AgentStepEvent(
            event_id="step", run_id="r", timestamp=at(4), step_name="s", step_type="decision",
            input_data={"a": {"b": ["coral"]}}, output_data="amber",
        ),
        ErrorEvent(event_id="error", run_id="r", timestamp=at(5), error=ErrorInfo("crimson tide")),
        call("r", 6, event_id="tools", tool_calls=[{"id": "1", "name": "f", "arguments": '{"city": "magenta"}'}]),
        run("r", 0),
    ]  # fmt: skip
    path = store_of(tmp_path, events)
    words = {
        "violet": "answer", "indigo": "parts", "azure": "failed", "teal": "tool", "olive": "tool",
        "coral": "step", "amber": "step", "crimson": "error", "magenta": "tools",
    }  # fmt: skip
    assert {word: ids(path, word) for word in words} == {w: [name] for w, name in words.items()}


def test_a_message_of_many_runs_is_indexed_once_and_found_in_all(tmp_path: Path) -> None:
    turns = [
        call(f"r{number}", 10 * number + turn, event_id=f"{number}-{turn}", prompt=messages(f"question{turn}"))
        for number in range(30)
        for turn in range(3)
    ]  # fmt: skip
    path = store_of(tmp_path, turns)
    connection = sqlite3.connect(index_beside(path))
    assert connection.execute("SELECT count(*) FROM seen WHERE run = 0").fetchone() == (1,)
    connection.close()
    found = ids(path, '"returns policy"', 7)
    assert found == sorted(set(found), key=lambda name: [-int(n) for n in name.split("-")])
    assert {name.partition("-")[0] for name in found} == {str(n) for n in range(30)}
    assert ids(path, "question1", 7) == [f"{number}-1" for number in reversed(range(30))]


def test_what_has_no_text_says_not_when_there_are_some(tmp_path: Path) -> None:
    """Ratings come days later: with their times, what was said in between would be looked at for nothing."""
    rating = EvaluationEvent(
        run_id="run",
        event_id="rating",
        name="thumbs",
        score=1.0,
        timestamp=START + timedelta(days=3),
    )
    path = store_of(tmp_path, [call("said", 5, event_id="said"), run("said", 90), rating])
    index = sqlite3.connect(index_beside(path))
    blocks = index.execute("SELECT oldest, newest FROM blocks").fetchall()
    index.close()
    moment = to_microseconds(at(5))
    assert blocks == [(moment, moment)]


def test_no_phrase_reaches_from_one_text_into_the_next(tmp_path: Path) -> None:
    path = store_of(tmp_path, [call("r", prompt="so it ends", response="here we begin")])
    assert len(ids(path, '"it ends"')) == len(ids(path, "ends here")) == 1
    assert ids(path, '"ends here"') == []


def test_what_an_event_says_is_no_reference(tmp_path: Path) -> None:
    """To a message of somebody else's, however it looks."""
    path = write_store(
        tmp_path / "x.db",
        [call("r1", 0, event_id="theirs", prompt=messages("hi", "magnolia " * 60))],
    )
    connection = sqlite3.connect(path)
    (body,) = connection.execute("SELECT body FROM bodies").fetchone()
    connection.close()
    reference = body[body.index("\x01") :][:12]
    write_store(path, [call("r2", 1, event_id="mine", prompt=[reference, {"x": reference}])])
    assert ids(index_texts(path), "magnolia") == ["theirs"]


class TestOrder:
    @pytest.mark.parametrize("size", [4, 50])
    def test_newest_first_however_they_came(
        self, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = random.Random(size)
        monkeypatch.setattr(text_index, "BLOCK_BITS", 3)
        monkeypatch.setattr(text_index, "PART_BITS", 6)
        for name, value in (("BLOCK_BITS", 3), ("PART_BITS", 6), ("MANY", 8), ("WIDEST", 8)):
            monkeypatch.setattr(searching, name, value)
        moments = [*range(150), *(rng.randrange(150) for _ in range(100))]  # some at the same time
        late = moments[100:]
        rng.shuffle(late)
        events = [
            call(f"r{n}", moment, event_id=f"e{n}", prompt="common" + (" rare" if n % 41 == 5 else ""),
                 project_id="ab"[n % 3 == 0])
            for n, moment in enumerate([*moments[:100], *late])
        ]  # fmt: skip
        path = store_of(tmp_path, events)
        wanted = sorted(events, key=lambda e: (e.timestamp, int(e.event_id[1:])), reverse=True)
        assert ids(path, "common", size) == [e.event_id for e in wanted]
        assert ids(path, "rare common", size) == [e.event_id for e in wanted if "rare" in e.prompt]
        assert ids(path, "common", size, RunFilter(project_id="b")) == [
            e.event_id for e in wanted if e.project_id == "b"
        ]

    @pytest.mark.parametrize("seconds", [0.0, 60.0])
    @pytest.mark.parametrize("few", [0, 1_000])
    def test_of_a_person_it_finds_the_same_from_their_events_as_from_the_words(
        self, tmp_path: Path, few: int, seconds: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (("PART_BITS", 6), ("BLOCK_BITS", 3)):
            monkeypatch.setattr(text_index, name, value)
            monkeypatch.setattr(searching, name, value)
        for name, number in (
            ("FEW_EVENTS", few), ("FEW", 5), ("SECONDS", seconds), ("MANY", 8), ("WIDEST", 8),
        ):  # fmt: skip
            monkeypatch.setattr(searching, name, number)
        rng = random.Random(3)
        events = [
            call(f"r{n}", rng.randrange(100), event_id=f"e{n}", user_id="ab"[n % 3 == 0],
                 project_id="pq"[n % 2], prompt=messages("common" + (" rare" if n % 11 == 5 else "")))
            for n in range(200)
        ]  # fmt: skip
        path = store_of(tmp_path, events)
        wanted = sorted(events, key=lambda e: (e.timestamp, int(e.event_id[1:])), reverse=True)
        theirs = [e for e in wanted if e.user_id == "b"]
        rare = [e.event_id for e in theirs if int(e.event_id[1:]) % 11 == 5]
        where = RunFilter(user_id="b")
        assert ids(path, "common", 7, where) == [e.event_id for e in theirs]
        assert ids(path, "rare", 7, where) == rare
        assert ids(path, '"helpful assistant of"', 7, where) == [e.event_id for e in theirs]
        assert ids(path, "common", 7, RunFilter(user_id="b", project_id="q", since=at(50))) == [
            e.event_id for e in theirs if e.project_id == "q" and e.timestamp >= at(50)
        ]
        assert ids(path, "nowhere", 7, where) == []

    def test_it_says_how_far_it_came_and_goes_on_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "SECONDS", 0)
        monkeypatch.setattr(searching, "FEW_EVENTS", 0)
        events = [
            call(f"r{n}", n, event_id=f"e{n}", user_id="ann" if n == 7 else "bob")
            for n in range(1_500)
        ]
        path = store_of(tmp_path, events)
        found = list(pages(path, "hi", 5, RunFilter(user_id="ann")))
        assert [hit.event_id for page in found for hit in page.hits] == ["e7"]
        reached = [page.searched_to for page in found]
        assert len(found) > 1 and reached[-1] is None
        told = [moment for moment in reached if moment is not None]
        assert told == sorted(told, reverse=True) and told[0] < START + timedelta(seconds=1_500)

    def test_filters_and_the_time_choose_among_runs(self, tmp_path: Path) -> None:
        events = [
            call("r1", 0, event_id="a", user_id="ann", model="m1", prompt="hello"),
            call("r2", 50, event_id="b", user_id="bob", model="m2", prompt="hello"),
            call("r1", 99, event_id="c", prompt="hello"),
        ]
        path = store_of(tmp_path, events)
        for where, wanted in (
            (RunFilter(), ["c", "b", "a"]),
            (RunFilter(user_id="ann"), ["c", "a"]),
            (RunFilter(model="m2"), ["b"]),
            (RunFilter(since=at(10)), ["b"]),
            (RunFilter(until=at(10)), ["c", "a"]),
            (RunFilter(run_id="r1", failed=True), []),
        ):
            assert ids(path, "hello", 20, where) == wanted


class TestIndex:
    def test_without_one_it_says_that_nothing_is_index_texts(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "x.db", [call("r", prompt="hello")])
        with Reader(path) as reader:
            found = reader.search("hello")
            assert (found.hits, found.waiting.events, found.waiting.of) == ((), 1, 1)
            assert not index_beside(path).exists()
            assert reader.index_texts(10).events == 0
            assert len(reader.search("hello").hits) == 1
        assert index_beside(path).stat().st_mode & 0o777 == 0o600

    def test_what_comes_later_is_found_after_the_next_step(self, tmp_path: Path) -> None:
        path = store_of(tmp_path, [call("r", 0, prompt="hello")])
        write_store(path, [call("r", 1, prompt="hello again")])
        with Reader(path) as reader:
            assert (reader.search("hello").waiting.events, len(reader.search("hello").hits)) == (
                1,
                1,
            )
            reader.index_texts()
            assert (reader.search("hello").waiting.events, len(reader.search("hello").hits)) == (
                0,
                2,
            )

    @pytest.mark.parametrize(
        "content", [b"", b"no database at all" * 500, b"SQLite format 3\0" + bytes(8_000)]
    )
    def test_a_damaged_one_is_made_anew(self, tmp_path: Path, content: bytes) -> None:
        path = store_of(tmp_path, [call("r", prompt="hello")])
        index_beside(path).write_bytes(content)
        with Reader(path) as reader:
            assert reader.search("hello").waiting.events == 1
        for _ in range(2):  # the one that meets the damage removes it
            with TextIndex(path) as index:
                try:
                    index.catch_up(10)
                except Exception:
                    continue
        assert len(ids(path, "hello")) == 1

    def test_a_damaged_page_is_no_error_of_a_search(self, tmp_path: Path) -> None:
        path = store_of(tmp_path, [call("r", n, prompt=f"hello {n}") for n in range(500)])
        data = bytearray(index_beside(path).read_bytes())
        for place in range(4096, len(data)):
            data[place] = (data[place] * 7 + 13) & 0xFF
        index_beside(path).write_bytes(data)
        with Reader(path) as reader:
            assert reader.search("hello").hits == ()

    def test_of_another_store_or_one_that_went_back_it_is_made_anew(self, tmp_path: Path) -> None:
        path = store_of(tmp_path, [call("r", n, prompt="hello") for n in range(5)])
        for ending in ("", "-wal", "-shm"):
            path.with_name(f"x.db{ending}").unlink(missing_ok=True)
        write_store(path, [call("r", prompt="quite another")])
        index_texts(path)
        assert (len(ids(path, "hello")), len(ids(path, "another"))) == (0, 1)
        backup = path.read_bytes()
        write_store(path, [call("r", 1, prompt="later")])
        index_texts(path)
        path.write_bytes(backup)
        write_store(path, [call("r", 1, prompt="instead")])
        index_texts(path)
        assert (len(ids(path, "later")), len(ids(path, "instead"))) == (0, 1)

    def test_several_fill_it_at_once(self, tmp_path: Path) -> None:
        path = write_store(
            tmp_path / "x.db", [call("r", n, event_id=str(n), prompt="hello") for n in range(600)]
        )
        with Reader(path) as one, Reader(path) as other:
            while one.index_texts().events and other.index_texts().events:
                pass
        found = ids(path, "hello", 500)
        assert found == [str(n) for n in reversed(range(600))]

    def test_parts_of_which_all_is_gone_are_dropped_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(text_index, "PART_BITS", 0)
        path = store_of(tmp_path, [call(f"r{n}", n, prompt="hello") for n in range(3)])
        monkeypatch.undo()
        assert tables(path) == ["words_1", "words_2", "words_3"]

    def test_retention_reaches_it_within_an_hour(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = store_of(
            tmp_path, [call("old", 0, prompt="wisteria"), call("new", 9, prompt="hello")]
        )
        writer = Writer(path)
        while writer.prune(RetentionPolicy(since=at(5))):
            pass
        assert ids(path, "wisteria") == [], "it is not in the store any more"
        index_texts(path)
        assert b"wisteria" in index_bytes(path)
        monkeypatch.setattr(text_index, "DROP_SECONDS", 0)
        index_texts(path)
        with TextIndex(path) as index:
            index.forget()
        assert b"wisteria" not in index_bytes(path)
        assert len(ids(path, "hello")) == 1
        writer.close()


def tables(path: Path) -> list[str]:
    connection = sqlite3.connect(index_beside(path))
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE sql LIKE '%fts5%' AND name LIKE 'words%'"
    )
    names = sorted(name for (name,) in found)
    connection.close()
    return names


def index_bytes(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.iterdir() if "-text" in one.name)


class TestForgetting:
    @pytest.mark.parametrize("how", ["erase", "rewrite", "remove an event", "prune"])
    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an indexer"])
    def test_no_byte_is_left(self, tmp_path: Path, how: str, beside: bool) -> None:
        secret = "wisteria"
        events = [
            call("gone", 0, event_id="gone", prompt=f"my {secret} blooms"),
            *(call(f"r{n}", 1 + n, event_id=f"e{n}", prompt=f"hello {n}") for n in range(300)),
            call(
                "gone",
                400,
                event_id="again",
                response=messages("x", f"{secret} is a climbing plant " * 20),
            ),
        ]
        path = store_of(tmp_path, events)
        assert secret.encode() in index_bytes(path)
        assert ids(path, secret) == ["again", "gone"]
        writer = Writer(path)
        reader = Reader(path)
        if beside:
            reader.index_texts()
        if how == "erase":
            writer.erase(["gone"])
        elif how == "rewrite":
            writer.rewrite("gone", _without(secret))
        elif how == "remove an event":
            writer.rewrite(
                "gone", lambda event: None if event.event_id in ("gone", "again") else event
            )
        else:
            while writer.prune(RetentionPolicy(since=at(1))):
                pass
            writer.erase(["gone"])
        if beside:
            reader.index_texts()
        assert writer.leave_no_trace()
        assert secret.encode() not in index_bytes(path)
        reader.index_texts(10)
        assert ids(path, secret) == []
        assert len(ids(path, "hello")) == 300
        write_store(path, [call("new", 500, event_id="new", prompt="hello new")])
        reader.index_texts()
        assert ids(path, "new") == ["new"]
        assert writer.leave_no_trace()
        assert secret.encode() not in index_bytes(path)
        reader.close()
        writer.close()

    def test_a_number_is_not_given_again(self, tmp_path: Path) -> None:
        """Else what was removed last would be found with the words of what comes next."""
        path = store_of(tmp_path, [call("r1", 0, prompt="first"), call("r2", 1, prompt="second")])
        writer = Writer(path)
        writer.erase(["r2"])
        writer.write([call("r3", 2, event_id="third", prompt="third")])
        index_texts(path)
        assert (ids(path, "second"), ids(path, "third")) == ([], ["third"])
        writer.close()


def _without(secret: str) -> Callable[[Event], Event]:
    def change(event: Event) -> Event:
        for name in ("prompt", "response"):
            if secret in str(getattr(event, name, "")):
                setattr(event, name, "[gone]")
        return event

    return change
