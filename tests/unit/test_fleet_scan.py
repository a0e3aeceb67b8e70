"""Which machines a folder holds: identity, newest report, history, and how a report is read."""

import os
from pathlib import Path

import msgspec
import pytest

from probe.errors import InputError
from probe.fleet.decode import Decoder
from probe.fleet.files import OpenFile, open_file
from probe.fleet.member import Lines, Member
from probe.fleet.scan import scan_folder
from probe.machine import Range
from tests.unit.fleet_folders import OFFICE_PC, SERVER, edited, put, report_as


def decoded(folder: Path, path: str) -> tuple[Member, int]:
    """The member in a file, and how many files had to be decoded whole for it."""
    decoder = Decoder()
    opened = open_file(folder, path)
    assert isinstance(opened, OpenFile)
    try:
        return decoder.member(opened, path), decoder.whole
    finally:
        os.close(opened.descriptor)


def speeds_of(lines: Lines) -> list[Range | None]:
    figures = lines.figures()
    return [lines.speed_at(at, figures) for at in range(len(lines.ids))]


@pytest.mark.parametrize("pretty", [False, True])
def test_a_report_as_written_is_read_by_its_head(tmp_path: Path, pretty: bool) -> None:
    put(tmp_path, "a.json", report_as(SERVER, name="box"), pretty=pretty)
    assert decoded(tmp_path, "a.json")[1] == 0


def test_head_and_whole_file_give_the_same_member(tmp_path: Path) -> None:
    report = report_as(SERVER, name="box", host_id="a1", api_url="http://10.1.2.3:8000/v1")
    put(tmp_path, "head.json", report)
    (tmp_path / "whole.json").write_bytes(edited(report, {"model_index": None}))
    by_head, none_whole = decoded(tmp_path, "head.json")
    by_lines, one_whole = decoded(tmp_path, "whole.json")
    assert (none_whole, one_whole) == (0, 1)
    assert by_head.lines is not None
    assert by_lines.lines is not None
    assert speeds_of(by_head.lines) == speeds_of(by_lines.lines)
    assert msgspec.structs.replace(by_head, path="", lines=None) == msgspec.structs.replace(
        by_lines, path="", lines=None
    )
    assert (by_head.lines.ids, by_head.lines.verdicts) == (by_lines.lines.ids, by_lines.lines.verdicts)


def test_speed_of_one_model_is_its_place_among_all(tmp_path: Path) -> None:
    put(tmp_path, "a.json", report_as(OFFICE_PC, name="pc"))
    lines = decoded(tmp_path, "a.json")[0].lines
    assert lines is not None
    assert "-" in lines.basis
    assert [lines.speed(model_id) for model_id in lines.ids] == speeds_of(lines)


def test_figures_that_are_none_cost_their_own_model_alone() -> None:
    ids = ("good", "none", "words", "backwards", "nan", "huge", "cut")
    lines = Lines(
        ids=ids,
        place={model_id: at for at, model_id in enumerate(ids)},
        verdicts="ccccccc",
        bases=("fit:cpu",),
        basis="0-00000",
        speeds="1 2 3 fast 2 3 3 2 1 nan nan nan 1 2 1e300 7 8",
    )
    expected = [Range(low=1.0, value=2.0, high=3.0, basis="fit:cpu"), *[None] * 6]
    assert speeds_of(lines) == expected
    assert [lines.speed(model_id) for model_id in ids] == expected


def test_an_edited_line_counts_not_the_columns_written_before(tmp_path: Path) -> None:
    report = report_as(OFFICE_PC, name="pc")
    at = next(at for at, line in enumerate(report.models) if line.verdict.value == "no")
    (tmp_path / "a.json").write_bytes(edited(report, {f"models/{at}/verdict": "comfortable"}))
    member, whole = decoded(tmp_path, "a.json")
    assert whole == 1
    assert member.lines is not None
    assert member.lines.verdict(report.models[at].id) == "c"


def test_a_report_cut_off_in_its_last_line_is_no_report(tmp_path: Path) -> None:
    put(tmp_path, "a.json", report_as(OFFICE_PC, name="pc"))
    whole = (tmp_path / "a.json").read_bytes()
    (tmp_path / "a.json").write_bytes(whole[:-40])
    fleet = scan_folder(tmp_path)
    assert (fleet.members, [bad.key for bad in fleet.unreadable]) == ((), ["fleet.reason.malformed"])


def test_equal_hardware_stays_several_machines(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path, f"{number}.json", report_as(OFFICE_PC, name="pc", host_id=f"id{number}"))
    assert len(scan_folder(tmp_path).members) == 3


def test_newest_report_of_a_machine_wins_and_the_older_ones_are_its_past(tmp_path: Path) -> None:
    put(
        tmp_path,
        "pc.json",
        report_as(OFFICE_PC, name="new name", host_id="a", created_at="2026-11-20T09:00:00Z"),
    )
    put(
        tmp_path,
        "history/pc/1.json",
        report_as(OFFICE_PC, name="pc", host_id="a", created_at="2026-11-20T09:00:00Z"),
    )
    put(
        tmp_path,
        "history/pc/0.json",
        report_as(SERVER, name="pc", host_id="a", created_at="2026-10-01T09:00:00+09:00"),
    )
    fleet = scan_folder(tmp_path)
    assert [(member.name, member.path) for member in fleet.members] == [("new name", "pc.json")]
    assert [one.created_at for one in fleet.past["id", "a"]] == ["2026-10-01T09:00:00+09:00"]


def test_a_machine_without_id_is_its_name(tmp_path: Path) -> None:
    put(tmp_path, "a.json", report_as(OFFICE_PC, name="pc", created_at="2026-01-01T00:00:00Z"))
    put(tmp_path, "b.json", report_as(SERVER, name="pc", created_at="2026-02-01T00:00:00Z"))
    put(tmp_path, "c.json", report_as(SERVER, name="pc", host_id="x"))
    assert sorted(member.key for member in scan_folder(tmp_path).members) == [("id", "x"), ("name", "pc")]


def test_a_machine_without_any_name_is_called_after_its_file(tmp_path: Path) -> None:
    (tmp_path / "my pc.json").write_text('{"memory": {"total_bytes": 17179869184}}', encoding="utf-8")
    (member,) = scan_folder(tmp_path).members
    assert (member.name, member.lines, member.hardware.ram_bytes) == ("my pc", None, 16 * 2**30)


def test_redirected_output_of_an_old_windows_shell_is_read(tmp_path: Path) -> None:
    """PowerShell 5 writes UTF-16 with a byte-order mark; editors put one before UTF-8."""
    text = edited(report_as(OFFICE_PC, name="pc"), {}).decode("utf-8")
    (tmp_path / "a.json").write_bytes(text.encode("utf-16"))
    (tmp_path / "b.JSON").write_bytes(text.replace('"pc"', '"pc2"').encode("utf-8-sig"))
    assert sorted(member.name for member in scan_folder(tmp_path).members) == ["pc", "pc2"]


def test_no_folder_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        scan_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://10.0.0.9:8000/v1", "http://10.0.0.9:8000/v1"),
        ("https://llm.example/v1", "https://llm.example/v1"),
        ("javascript:alert(1)", None),
        ("http://a b", None),
        ("http://x\u202ey", None),
        ("", None),
    ],
)
def test_only_web_addresses_are_shown(tmp_path: Path, url: str, kept: str | None) -> None:
    put(tmp_path, "a.json", report_as(SERVER, name="box", api_url=url))
    (member,) = scan_folder(tmp_path).members
    assert member.api_url == kept
