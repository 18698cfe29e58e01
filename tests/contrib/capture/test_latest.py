"""What is remembered for as long as there is room."""

from llmobs.contrib._wire.latest import Latest


def test_the_oldest_is_forgotten() -> None:
    latest = Latest[str, int](2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        latest.put(key, value)
    assert list(latest.items()) == [("a", 3), ("c", 4)]
