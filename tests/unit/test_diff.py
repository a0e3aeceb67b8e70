"""What changed between two reports, and whether it got worse."""

from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.machine import AcceleratorState, Machine, NvidiaDriver
from probe.messages import LANGUAGES
from probe.render.diff_page import diff_page
from probe.render.terminal import render_terminal
from probe.report.diff import compare
from probe.report.diff_documents import DiffDocument
from probe.report.documents import ReportDocument
from tests.unit.fleet_folders import OFFICE_PC, report_as, report_of

GPU_PC = "RTX 3060 12GB; Core i5-12400; 32GB DDR4-3200 x2; windows 11"


def changes(document: DiffDocument, *kinds: str) -> list[tuple[str, Any, Any, str]]:
    return [(one.path, one.before, one.after, one.effect) for one in document.changes if one.kind in kinds]


def with_driver(machine: Machine, version: str | None) -> Machine:
    return msgspec.structs.replace(machine, nvidia=NvidiaDriver(driver_version=version))


def test_a_report_against_itself_has_no_change() -> None:
    report = report_of(OFFICE_PC)
    found = compare(report, report, lang="en")
    assert (found.changes, found.compared_models) == ((), len(report.models))


def test_more_memory_is_better_and_less_is_worse() -> None:
    small, large = report_of(OFFICE_PC), report_of("Core i5-8500; 32GB DDR4-2666 x2; windows 11")
    up, down = compare(small, large, lang="en"), compare(large, small, lang="en")
    assert ("/machine/memory/total_bytes", 16 * 2**30, 32 * 2**30, "better") in changes(up, "hardware")
    assert ("/machine/memory/channels", 2, 1, "worse") in changes(down, "hardware")
    raised = [one for one in up.changes if one.kind == "verdict"]
    assert "better" in {one.effect for one in raised}
    assert "worse" not in {one.effect for one in raised}
    assert "worse" in {one.effect for one in down.changes if one.kind == "verdict"}


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ("552.12", "580.95", "better"),
        ("580.95.05", "580.82.07", "worse"),
        ("9.18", "10.1", "better"),  # numbers, not letters
        ("580.95", None, "worse"),
        (None, "580.95", "neutral"),
    ],
)
def test_a_driver_is_judged_by_its_numbers(before: str | None, after: str | None, effect: str) -> None:
    machine = enrich(from_spec(GPU_PC))
    found = compare(with_driver(machine, before), with_driver(machine, after), lang="en")
    assert changes(found, "driver") == [("/machine/nvidia/driver_version", before, after, effect)]


def test_a_gpu_that_no_longer_works_is_worse_even_if_it_is_still_there() -> None:
    machine = enrich(from_spec(GPU_PC))
    lost = msgspec.structs.replace(machine.accelerators[0], state=AcceleratorState.NO_DRIVER)
    found = compare(machine, msgspec.structs.replace(machine, accelerators=(lost,)), lang="en")
    assert changes(found, "driver") == [("/machine/accelerators/0/state", "usable", "no_driver", "worse")]


def test_one_of_two_equal_gpus_gone_is_named_once() -> None:
    two, one = enrich(from_spec("2x RTX 3060 12GB")), enrich(from_spec("RTX 3060 12GB"))
    assert [(one.before, one.after, one.effect) for one in compare(two, one, lang="en").changes] == [
        ("NVIDIA GeForce RTX 3060", None, "worse")
    ]


def test_megabytes_that_the_firmware_takes_are_no_change() -> None:
    machine = enrich(from_spec(OFFICE_PC))
    total = machine.memory.total_bytes
    assert total is not None
    memory = msgspec.structs.replace(machine.memory, total_bytes=total - 2_000_000)
    assert compare(machine, msgspec.structs.replace(machine, memory=memory), lang="en").changes == ()


def _slower(report: ReportDocument, factor: float) -> ReportDocument:
    lines = tuple(
        msgspec.structs.replace(line, decode_tokens_per_s=line.decode_tokens_per_s.scaled(factor))
        if line.decode_tokens_per_s
        else line
        for line in report.models
    )
    return msgspec.structs.replace(report, models=lines)


def test_a_tenth_less_speed_is_noted_a_twentieth_is_not() -> None:
    report = report_of(OFFICE_PC)
    assert compare(report, _slower(report, 0.95), lang="en").changes == ()
    slower = compare(report, _slower(report, 0.8), lang="en")
    assert {(one.kind, one.effect) for one in slower.changes} == {("speed", "worse")}


def test_two_machines_are_said_to_be_two() -> None:
    one, other = report_as(OFFICE_PC, name="a", host_id="1"), report_as(OFFICE_PC, name="a", host_id="2")
    assert compare(one, other, lang="en").same_machine is False


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_says_every_kind_of_change_in_words(lang: str) -> None:
    found = compare(report_of(OFFICE_PC), report_of(GPU_PC), lang=lang)
    text = render_terminal(diff_page(found, lang, whole=True), width=100)
    assert {one.kind for one in found.changes} >= {"hardware", "verdict", "engine"}
    assert "RTX 3060" in text
    assert "{" not in text
