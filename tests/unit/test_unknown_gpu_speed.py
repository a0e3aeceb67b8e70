"""A GPU that does not tell its bandwidth: memory is judged, speed is not, the CPU's answers remain."""

from pathlib import Path

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.collectors.recorded_host import RecordedHost
from probe.collectors.run import scan_machine
from probe.machine import Machine
from probe.messages import LANGUAGES
from probe.recommender.answer import PlacementKind, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.report.build import build_check, build_report

ROOT = Path(__file__).resolve().parents[2]
NOW = "2026-11-21T00:00:00Z"


def recorded(name: str) -> Machine:
    return enrich(scan_machine(RecordedHost(ROOT / "tests/machines" / name), deadline_s=30))


@pytest.fixture(scope="module")
def vgpu() -> Machine:
    """12 GiB of an A40 in a virtual machine, 62 GiB of RAM."""
    return recorded("linux-vgpu-a40-12q")


def test_the_cpu_answers_and_the_gpu_stands_beside_it(vgpu: Machine) -> None:
    answer = Estimator(vgpu, Options()).estimate(find_model("qwen3-8b"), "Q4_K_M")
    assert answer.placement.kind is PlacementKind.CPU
    assert answer.speed.decode_tokens_per_s is not None
    assert answer.verdict in (Verdict.SLOW, Verdict.USABLE, Verdict.COMFORTABLE)
    assert answer.reasons[0].code == "verdict.gpu_speed_unknown"
    (beside,) = answer.alternatives
    assert (beside.placement.kind, beside.fits, beside.verdict) == (PlacementKind.GPU, True, Verdict.UNKNOWN)
    assert beside.speed.decode_tokens_per_s is None
    assert beside.command is not None


def test_a_model_that_the_gpu_holds_in_part_is_told_so(vgpu: Machine) -> None:
    answer = Estimator(vgpu, Options()).estimate(find_model("qwen3-32b"), "Q4_K_M")
    assert answer.reasons[0].code == "verdict.shared_speed_unknown"
    assert [other.placement.kind for other in answer.alternatives] == [PlacementKind.HYBRID]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_names_the_gpu_and_what_is_not_known(vgpu: Machine, lang: str) -> None:
    check = build_check(vgpu, find_model("qwen3-8b"), Options(), lang=lang)
    assert "gpu0" in check.reasons[0]
    assert [other.verdict for other in check.alternatives] == [Verdict.UNKNOWN]


@pytest.mark.parametrize("name", ["linux-vgpu-a40-12q", "linux-jetson-xavier-jetpack5"])
def test_such_a_machine_gets_recommendations(name: str) -> None:
    """Before, every model that talks was "unknown" there, and nothing was recommended."""
    report = build_report(recorded(name), Options(), lang="en", created_at=NOW)
    assert report.recommendations
    assert report.summary.largest_usable is not None


def test_a_gpu_with_known_bandwidth_is_not_second_guessed() -> None:
    machine = from_spec("RTX 4090; 64GB DDR5-5600 x2")
    answer = Estimator(machine, Options()).estimate(find_model("qwen3-8b"), "Q4_K_M")
    assert answer.placement.kind is PlacementKind.GPU
    assert answer.alternatives == ()
