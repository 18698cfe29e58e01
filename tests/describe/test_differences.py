"""Word differences: nothing of either text is lost, and no text takes long to compare."""

import time
from random import Random

import pytest

from llmobs.describe.differences import Change, differences


def sides(changes: list[Change]) -> tuple[str, str]:
    left = "".join(each.text for each in changes if each.kind != "added")
    right = "".join(each.text for each in changes if each.kind != "removed")
    return left, right


def test_words_that_differ_are_told_apart() -> None:
    assert differences("three quiet hotels\nin Lisbon", "five quiet rooms\nin Lisbon") == [
        Change("removed", "three"), Change("added", "five"), Change("same", " quiet "),
        Change("removed", "hotels"), Change("added", "rooms"), Change("same", "\nin Lisbon"),
    ]  # fmt: skip
    assert differences("same", "same") == [Change("same", "same")]
    assert differences("", "") == []
    assert differences("", "new") == [Change("added", "new")]


@pytest.mark.parametrize("seed", range(30))
def test_both_texts_can_be_read_from_the_changes(seed: int) -> None:
    random = Random(seed)
    letters = random.choice(["ab ", "ab \n", "a\n", "word, \n", "\U0001f600é ."])
    left, right = ("".join(random.choices(letters, k=random.randrange(400))) for _ in range(2))
    assert sides(differences(left, right)) == (left, right)


@pytest.mark.parametrize(
    "words",
    [
        ["a"], ["a", "b"], [f"w{n}" for n in range(7)], [f"w{n}" for n in range(100)],
        [f"w{n}\n" for n in range(100)], ["\n"], ["a\n", "b\n"],
    ],
)  # fmt: skip
def test_texts_made_to_be_hard_to_compare_take_no_time(words: list[str]) -> None:
    """CPU time: what others do on the machine does not count."""
    random = Random(1)
    left, right = (" ".join(random.choices(words, k=2_000)) for _ in range(2))
    began = time.process_time()
    assert sides(differences(left, right)) == (left, right)
    assert time.process_time() - began < 2.0
