"""Values by other authors (Faker, python-stdnum) are found, too; nothing is where they put nothing."""

import pytest

from benchmarks.redaction.by_others import LEAST, by_others, measure_others
from benchmarks.redaction.figures import Figures


@pytest.fixture(scope="module")
def figures() -> dict[str, Figures]:
    return measure_others(seed=1, scale=0.25)


@pytest.mark.parametrize("kind", sorted(LEAST))
def test_what_others_make_is_found(figures: dict[str, Figures], kind: str) -> None:
    its = figures[kind]
    assert its.labelled[kind] >= 10
    assert its.recall(kind) >= LEAST[kind], [(case.source, case.value) for case in its.missed]
    assert its.wrong == []


def test_a_seed_gives_the_same() -> None:
    assert list(by_others(7, 0.1)) == list(by_others(7, 0.1)) != list(by_others(8, 0.1))


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("password: T1N+I9&g!Z)w and", "T1N+I9&g!Z)w"),
        ("DB_PASSWORD=T1N+I9&g!Z)w\n", "T1N+I9&g!Z)w"),
        ("(password: h4X!(q2R)", "h4X!(q2R)"),
        ("(the password: h4X!q2R)", "h4X!q2R"),
        ("password=abc123&user=ann", "abc123"),
        ("password: $S6DF9Caq(6Gfy9R!B", "$S6DF9Caq(6Gfy9R!B"),
    ],
)
def test_passwords_of_any_characters(text: str, taken: str) -> None:
    from llmobs.redaction.scan import find

    (span,) = find(text)
    assert text[span.start : span.end] == taken


@pytest.mark.parametrize(
    "text",
    [
        "password: getpass.getpass(prompt)", "password=os.environ('A')", "password: $PASSWORD1",
        "password: %(password)s", "password=str(value)&x", "password = f(a, b)",
        "password: ${DB_PASS1}", "password: @settings.password", "password: {{ pw(1) }}",
    ],
)  # fmt: skip
def test_code_is_no_password(text: str) -> None:
    from llmobs.redaction.scan import find

    assert find(text) == []
