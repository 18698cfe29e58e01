"""llmobs.recorded.ids"""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmobs.recorded.ids import derived_id, is_valid_run_id, new_id, parse_traceparent


def test_ids_are_uuid_version_7_of_the_rfc_variant() -> None:
    for _ in range(200):
        parsed = uuid.UUID(new_id())
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122


def test_ids_carry_the_time_and_sort_by_it() -> None:
    first = new_id()
    before = uuid.UUID(first).int >> 80
    while uuid.UUID(new_id()).int >> 80 == before:
        pass
    assert new_id() > first


def test_derived_ids_depend_on_their_parts_alone_and_lie_beside_those_of_the_same_first_one() -> (
    None
):
    ids = [derived_id(run, str(n)) for run in ("a", "b", "\udc80") for n in range(1_000)]
    assert ids == [derived_id(run, str(n)) for run in ("a", "b", "\udc80") for n in range(1_000)]
    assert len({one[9:] for one in ids}) == len(ids)  # the rest tells them apart by itself
    assert [len({one[:8] for one in ids[at : at + 1_000]}) for at in (0, 1_000, 2_000)] == [1, 1, 1]
    assert len({one[:8] for one in ids}) == 3
    parsed = uuid.UUID(ids[0])
    assert (parsed.version, parsed.variant, str(parsed)) == (8, uuid.RFC_4122, ids[0])


def test_ids_are_unique_across_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id() for _ in range(5_000)], range(8)))
    ids = [one for batch in batches for one in batch]
    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_draws_other_ids() -> None:
    new_id()  # fills the pool that both would draw from
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(new_id()[-22:] for _ in range(64)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(reader, 64 * 22).decode()
    os.close(reader)
    os.close(writer)
    theirs = {text[i : i + 22] for i in range(0, len(text), 22)}
    assert len(theirs) == 64
    assert theirs.isdisjoint({new_id()[-22:] for _ in range(64)})


def test_an_id_of_a_moment_already_read_sorts_by_it() -> None:
    assert new_id(1.7e9)[:8] == f"{int(1.7e12):012x}"[:8]
    assert new_id(1.7e9) < new_id(1.7e9 + 0.001) < new_id()


@pytest.mark.parametrize("value", ["a", "run-1", "A.b_c:d@e/f+g=h~i", "0" * 128])
def test_well_formed_run_ids_are_accepted(value: str) -> None:
    assert is_valid_run_id(value)


@pytest.mark.parametrize(
    "value", ["", "-a", "a b", "a\n", "a\x00", "é", "a" * 129, "x" * 10_000, "a;b", "<a>", "a'b"]
)
def test_other_run_ids_are_refused(value: str) -> None:
    assert not is_valid_run_id(value)


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, False)),
        (f" 00-{TRACE}-{SPAN}-01 ", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-more", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE[:-1]}-{SPAN}-01", None),
        ("", None),
        ("garbage", None),
    ],
)
def test_traceparent(value: str, expected: tuple[str, str, bool] | None) -> None:
    assert parse_traceparent(value) == expected
