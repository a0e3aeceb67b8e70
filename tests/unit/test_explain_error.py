# ruff: noqa: E501 - messages stand as engines print them
"""Pasted start-up errors are recognised and answered with the facts of the machine at hand."""

import re
import time

import pytest

from probe.catalog.engine_errors import engine_errors
from probe.machine import ForeignProcess, Machine
from probe.messages import LANGUAGES, has
from probe.recommender.explain_error import explain
from probe.report.documents import FindingDocument
from probe.report.error_document import build_error_answer
from probe.units import GIB
from tests.fakes.start_up_errors import CASES, RTX_4090, named, with_free


def answer(text: str, machine: Machine, lang: str = "en") -> tuple[FindingDocument, ...]:
    return build_error_answer(text, machine, lang=lang).findings


@pytest.mark.parametrize(("text", "place", "expected", "facts"), CASES)
def test_a_pasted_error_is_named_and_answered_with_this_machine(
    text: str, place: Machine | tuple[str, str | None], expected: str, facts: tuple[str, ...]
) -> None:
    machine = place if isinstance(place, Machine) else named(*place)
    findings = answer(text, machine)
    assert [finding.id for finding in findings] == [f"error.{expected}"]
    said = " ".join(f"{one.title} {one.evidence} {one.detail} {one.fix}" for one in findings)
    assert [fact for fact in facts if fact not in said] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_known_error_has_its_sentences_and_at_least_one_case(lang: str) -> None:
    rows = {row.id for row in engine_errors()}
    assert rows == {case[2] for case in CASES}
    assert all(has(f"errors.{row}.{part}", lang) for row in rows for part in ("title", "detail"))


@pytest.mark.parametrize(("text", "place"), [(case[0], case[1]) for case in CASES])
def test_every_answer_can_be_given_in_korean(text: str, place: Machine | tuple[str, str | None]) -> None:
    machine = place if isinstance(place, Machine) else named(*place)
    english, korean = answer(text, machine), answer(text, machine, "ko")
    assert [one.values for one in english] == [one.values for one in korean]
    assert all(one.fix and one.fix != other.fix for one, other in zip(english, korean, strict=True))


FREE_MEMORY = (
    "Free memory on device cuda:0 (3.25/23.43 GiB) on startup is less than desired GPU memory utilization "
    "(0.92, 21.56 GiB)."
)


def test_the_share_is_computed_from_what_is_free_now() -> None:
    """(12 - 0.5) / 23.43 = 0.4908, never rounded up: the next hundredth would not start."""
    held = ForeignProcess(pid=4711, name="ollama", memory_bytes=11 * GIB)
    (finding,) = answer(FREE_MEMORY, with_free(named(*RTX_4090), 12 * GIB, held))
    assert finding.values["utilization"] == 0.49
    assert "ollama (4711)" in finding.evidence


def test_memory_that_was_freed_since_needs_no_other_share() -> None:
    (finding,) = answer(FREE_MEMORY, with_free(named(*RTX_4090), 23 * GIB))
    assert "start again" in finding.fix
    assert "utilization" not in finding.values


def test_unknown_stays_unknown() -> None:
    (finding,) = answer(
        "The NVIDIA driver on your system is too old (found version 12020)", named("RTX 4090")
    )
    assert "Its driver is not known." in finding.evidence
    assert "driver" not in finding.values


def test_the_cause_is_told_and_the_line_that_only_reports_the_end_is_left_out() -> None:
    text = "unable to allocate CUDA0 buffer\nError: llama runner process has terminated: exit status 2"
    assert [one.id for one in explain(text, named(*RTX_4090))] == ["llama_gpu_buffer"]


@pytest.mark.parametrize(
    "text",
    [
        "Connection refused",
        "INFO: Application startup complete.",
        "this model fits into memory",
        "the driver is fine and the device is ready",
    ],
)
def test_what_is_not_known_is_not_guessed(text: str) -> None:
    assert answer(text, named(*RTX_4090)) == ()


def test_escape_sequences_and_direction_marks_do_not_reach_the_page() -> None:
    text = "\x1b[31munknown model architecture: '\x1b[0mgem\x07ma\u202e4'\x00"
    for finding in answer(text, named(*RTX_4090)):
        assert finding.evidence.isprintable()
    (colored,) = answer("\x1b[31mTorch not compiled\x1b[0m with CUDA\x1b[1m enabled", named(*RTX_4090))
    assert colored.id == "error.torch_without_cuda"


def hostile_texts() -> list[str]:
    seeds = ["CUDA out of memory. Tried to allocate ", "Free memory on device cuda:0 (1.1/1.1 ", "model's max seq len (",
             "allocating 1", "unknown model architecture: '", "lib", "\x1b[", "1", " ", "\u202e", "<b>[red]{x}%s"]  # fmt: skip
    return [(seed * (400_000 // len(seed) + 1))[:400_000] for seed in seeds]


@pytest.mark.parametrize("text", hostile_texts())
def test_a_hostile_text_costs_a_moment(text: str) -> None:
    machine = named(*RTX_4090)
    explain("warm", machine)
    began = time.thread_time()
    explain(text, machine)
    assert time.thread_time() - began < 3  # 0.04 s on an idle computer


def test_no_pattern_repeats_without_a_bound() -> None:
    unbounded = [
        pattern
        for row in engine_errors()
        for pattern in (row.pattern, *row.details)
        if re.search(r"(?<!\\)[*+]", pattern)
    ]
    assert unbounded == []
