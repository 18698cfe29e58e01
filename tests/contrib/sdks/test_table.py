"""The table is whole: every row has every scenario or says why not, and what held is of these rows."""

import pytest

from tests.contrib.sdks.player import names_of
from tests.contrib.sdks.playing import HELD, held
from tests.contrib.sdks.table import SCENARIOS, Trial, trials


@pytest.mark.parametrize("trial", trials(), ids=str)
def test_every_row_has_every_scenario_or_says_why_not(trial: Trial) -> None:
    kept = held(trial.sdk.package)[trial.version]
    assert list(kept) == [row.name for row in trial.sdk.rows]
    for row in trial.sdk.rows:
        names = set(names_of(row.script))
        assert names >= SCENARIOS.keys() - row.without.keys(), row.name
        assert not names & row.without.keys(), row.name
        assert set(kept[row.name]["scenarios"]) == names, row.name
        assert all(row.without.values()), row.name


def test_nothing_held_that_is_no_row() -> None:
    known = {(each.sdk.package, each.version) for each in trials()}
    files = [file.stem for file in HELD.glob("*.json")]
    assert {(package, version) for package in files for version in held(package)} == known
