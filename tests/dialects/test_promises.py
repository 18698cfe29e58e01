"""Every promise of the two documents has a test, and the page that says so is current."""

import pytest

from tests.dialects import rows


@pytest.fixture(scope="module")
def tests_by_row() -> dict[str, list[str]]:
    return rows.collect_apart()


def test_the_checklist_is_whole() -> None:
    ids = [row.id for row in rows.checklist()]
    assert ids == [f"S{n:03}" for n in range(1, 171)] + [f"W{n:03}" for n in range(1, 131)]
    assert all(row.promise and row.idea for row in rows.checklist())


@pytest.mark.parametrize("document", ["W", "S"])
def test_every_row_has_a_test(document: str, tests_by_row: dict[str, list[str]]) -> None:
    wanted = [row.id for row in rows.checklist() if row.id.startswith(document)]
    assert [row for row in wanted if not tests_by_row.get(row)] == []


def test_tests_name_rows_that_exist(tests_by_row: dict[str, list[str]]) -> None:
    assert set(tests_by_row) <= {row.id for row in rows.checklist()}


def test_the_page_is_current(tests_by_row: dict[str, list[str]]) -> None:
    page = rows.ROOT / "docs" / "reference" / "promises.md"
    assert page.read_text(encoding="utf-8") == rows.page(rows.checklist(), tests_by_row), (
        "run: python docs/generate_promises.py"
    )
