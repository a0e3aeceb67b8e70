"""The search for the largest number that fits, and the placements found with it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.collectors.recorded_host import RecordedHost
from probe.collectors.run import scan_machine
from probe.recommender.answer import Estimate, PlacementKind, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.fit_checkpoint import CheckpointEstimator
from probe.recommender.last_fit import Point, last_fit
from probe.recommender.options import Options
from probe.recommender.survey import best_answer

ROOT = Path(__file__).resolve().parents[2]


@given(
    falls=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    first=st.integers(-40, 600),
    near=st.integers(-5, 600),
    far=st.integers(-600, 5),
)
def test_the_answer_is_the_same_as_trying_all_numbers(
    falls: list[int], first: int, near: int, far: int
) -> None:
    """Whatever was supposed of the ends, and however unevenly the room shrinks."""
    left = [first - sum(falls[:count]) for count in range(len(falls))]
    expected = max((number for number, rest in enumerate(left) if rest >= 0), default=None)
    found = last_fit(0, len(left) - 1, left.__getitem__, Point(-1, near), Point(len(left), far))
    assert found == expected


def test_on_an_even_slope_four_attempts_do() -> None:
    tried = []

    def left_at(number: int) -> int:
        tried.append(number)
        return 7_000_000 - 1_234 * number

    found = last_fit(1, 100_000, left_at, Point(0, 7_000_000), Point(100_000, 7_000_000 - 123_400_000))
    assert found == 5672
    assert len(tried) <= 4


def test_little_ram_beside_a_large_gpu_still_takes_the_rest() -> None:
    """A file of 42.5 GB: 20.5 GiB on the GPU and 21 in RAM do, where half of the layers in RAM would not."""
    machine = from_spec("RTX 4090; 32GB DDR5-5600 x2")
    model = find_model("llama-3.3-70b")
    answer = Estimator(machine, Options()).estimate(model, "Q4_K_M")
    assert answer.fits is True
    assert answer.placement.kind.value == "hybrid"


def test_no_further_layer_would_fit_on_the_gpu() -> None:
    machine = from_spec("RTX 3060 12GB; 64GB DDR4-3200 x2")
    for name in ("qwen3-32b", "qwen3-30b-a3b"):
        model = find_model(name)
        estimator = Estimator(machine, Options())
        answer = estimator.estimate(model, "Q4_K_M")
        room = {pool.device: pool.capacity_bytes or 0 for pool in estimator.pools.gpus}
        on_gpu = next(device for device in answer.memory.per_device if device.device == "gpu0")
        layers = model.dimensions.num_hidden_layers if model.dimensions else 0
        one_layer = answer.file_bytes / layers if answer.file_bytes else 0
        assert 0 <= room["gpu0"] - (on_gpu.total_bytes or 0) < one_layer + 2**28


def test_fewer_bits_are_taken_where_only_they_are_quick_enough() -> None:
    """Recording linux-arc-a770-i915: more bits fit as well, but below one token a second is no answer."""
    machine = enrich(scan_machine(RecordedHost(ROOT / "tests/machines/linux-arc-a770-i915"), deadline_s=30))
    estimator = Estimator(machine, Options())
    passed_over = 0
    for name in ("qwen2.5-72b", "llama-3.3-70b", "llama-3.1-70b"):
        model = find_model(name)
        answer = best_answer(estimator, model, full=False)
        if answer.verdict is not Verdict.SLOW:
            continue
        for richer in ("Q4_K_M", "IQ4_XS", "Q3_K_M"):
            tried = estimator.estimate(model, richer, full=False)
            if (tried.file_bytes or 0) > (answer.file_bytes or 0):
                assert not (tried.fits and tried.verdict is not Verdict.NO)
                passed_over += bool(tried.fits)
    assert passed_over


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_longest_context_over_a_coherent_link_is_the_last_that_fits(parallel: int) -> None:
    """GH200, 70B in 16 bits: 41 GiB of weights lie in CPU memory, and the cache may push out more."""
    machine = enrich(from_spec("GH200 96GB; 480GB LPDDR5X"))
    model = find_model("llama-3.1-70b")

    def answer(context: int) -> Estimate:
        return Estimator(machine, Options(context=context, parallel=parallel)).estimate(model, "F16")

    found = answer(8192)
    longest = found.max_context
    assert found.fits
    assert found.verdict in (Verdict.USABLE, Verdict.SLOW)  # about 5 tokens/s, where usable begins
    assert longest is not None
    assert longest >= 65_536
    assert (answer(longest).fits, answer(longest).placement.kind) == (True, PlacementKind.UNIFIED)
    if longest < (model.max_context or 0):  # beyond, layers go to the CPU
        assert answer(longest + 256).placement.kind is not PlacementKind.UNIFIED


def test_what_plain_gpu_memory_refuses_runs_with_managed_memory() -> None:
    """The published case: Llama 3 70B in 16 bits (140 GB) on a GH200 with 95 GiB of HBM."""
    machine = enrich(from_spec("GH200 96GB; 480GB LPDDR5X"))
    model = find_model("llama-3-70b")
    answer = Estimator(machine, Options()).estimate(model, "F16")
    (plain,) = answer.alternatives
    assert (answer.fits, plain.fits) == (True, False)
    assert (answer.command or "").startswith("GGML_CUDA_ENABLE_UNIFIED_MEMORY=1 ")
    assert [reason.code for reason in plain.reasons] == ["verdict.plain_gpu_short"]
    by_transformers = CheckpointEstimator("transformers", machine, Options()).estimate(model, "bf16")
    assert "engines.transformers.managed_memory" in [reason.code for reason in by_transformers.reasons]
