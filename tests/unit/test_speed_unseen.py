"""Measurements of devices that no constant was fitted on (public records that the fit's data lacks)."""

from pathlib import Path

import pytest

from probe.catalog.speed_constants import speed_constants
from scripts.score_speed import Point, given_of, groups_of, score
from scripts.speed_rows import load, published

UNSEEN = Path(__file__).resolve().parents[1] / "truth" / "speed_unseen.csv"


@pytest.fixture(scope="module")
def groups() -> dict[str, list[Point]]:
    cases = load(UNSEEN)
    assert not [case.reason for case in cases if case.reason]
    constants = speed_constants()
    return groups_of(cases, {case.number: given_of(case, constants) for case in cases})


def test_no_device_of_the_file_was_fitted_on() -> None:
    fitted = {case.device_name for case in published()}
    assert not fitted & {case.device_name for case in load(UNSEEN)}


@pytest.mark.parametrize(
    ("group", "rows", "median", "p90"),
    [
        ("dense", 60, 0.13, 0.25),
        ("moe", 7, 0.13, 0.35),
        ("client_cpu", 6, 0.25, 0.45),
        ("prompt", 6, 0.5, 0.7),
    ],
)
def test_errors_stay_where_the_tables_say(
    groups: dict[str, list[Point]], group: str, rows: int, median: float, p90: float
) -> None:
    found = score(groups[group])
    assert found["rows"] >= rows - 1
    assert found["median"] is not None
    assert found["p90"] is not None
    assert found["median"] <= median
    assert found["p90"] <= p90


def test_the_printed_range_holds_most_of_them(groups: dict[str, list[Point]]) -> None:
    points = [point for name in ("dense", "moe", "prompt") for point in groups[name]]
    covered = sum(point.covered for point in points)
    assert 0.8 * len(points) <= covered


def test_ranges_are_no_wider_than_they_need_to_be(groups: dict[str, list[Point]]) -> None:
    """A factor of two from end to end on GPUs says something; ten would hold everything and say nothing."""
    gpus = [point for point in groups["dense"] if point.case.devices[0].backend != "cpu"]
    widths = sorted(point.ours.high / point.ours.low for point in gpus)
    assert widths[len(widths) // 2] < 2
