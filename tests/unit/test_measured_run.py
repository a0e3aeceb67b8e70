"""A run of `probe bench` beside our estimate of that very run: before it is known, and after."""

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.estimate.speed_calibration import DECODE, PROMPT, RunInputs
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import checkpoint_weights, gguf_weights
from probe.machine.description import Measurement
from probe.machine.ranges import Range
from probe.recommender.measured_run import run_figures, run_inputs

OFFICE_PC = enrich(from_spec("Core i5-8500; 16GB DDR4-2666 x2; windows 11"))
MODEL = find_model("llama-3.1-8b")
WEIGHTS = gguf_weights(MODEL, "Q4_K_M")


def inputs(model: str, weights: WeightBytes, *, behind_prompt: bool = False) -> RunInputs:
    """llama-bench's own lengths: a prompt of 512 tokens, then 128 tokens."""
    return run_inputs(
        find_model(model),
        weights,
        "cpu",
        prompt_tokens=512,
        generated_tokens=128,
        behind_prompt=behind_prompt,
        threads=6,
    )


RUN = inputs("llama-3.1-8b", WEIGHTS)


def measured(what: str, value: float, **changes: str) -> Measurement:
    return Measurement(
        what=what,
        low=value * 0.98,
        value=value,
        high=value * 1.02,
        unit="tokens/s",
        at="2026-11-21T10:00:00Z",
        fingerprint="0123456789abcdef",
        subject=RUN.as_subject() | changes,
    )


def known(found: Range | None) -> Range:
    assert found is not None
    return found


@pytest.mark.parametrize(("behind_prompt", "depth"), [(False, 64), (True, 576)])
def test_the_cache_is_read_at_the_mean_depth_of_the_run(behind_prompt: bool, depth: int) -> None:
    """llama-bench generates into an empty cache, a server behind the prompt: 32 layers, 1,024 wide."""
    run = inputs("llama-3.1-8b", WEIGHTS, behind_prompt=behind_prompt)
    assert run.kv_bytes == 2 * 32 * 1024 * 2 * depth
    assert run.weight_bytes == run.batch_bytes == WEIGHTS.active_bytes


def test_a_batch_reads_more_experts_than_a_token() -> None:
    weights = gguf_weights(find_model("qwen3-30b-a3b"), "Q4_K_M")
    run = inputs("qwen3-30b-a3b", weights)
    assert run.experts
    assert 5 * run.weight_bytes < run.batch_bytes < weights.file_bytes


def test_a_model_that_llama_cpp_has_no_layout_of_still_gets_its_weights() -> None:
    weights = checkpoint_weights(find_model("pixtral-12b"), "bf16")
    run = inputs("pixtral-12b", weights)
    assert (run.kv_bytes, run.weight_bytes) == (0, weights.active_bytes)


def test_nothing_is_said_of_a_prompt_where_there_was_none() -> None:
    alone = RUN._replace(prompt_tokens=0)
    figures = run_figures(OFFICE_PC, MODEL, WEIGHTS, alone)
    assert figures.prompt is None
    assert figures.decode == run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN).decode


def test_fewer_threads_than_cores_are_slower() -> None:
    two, six, unsaid = (
        run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN._replace(threads=threads)) for threads in (2, 6, None)
    )
    assert known(two.prompt).value < 0.5 * known(six.prompt).value
    assert known(two.decode).value < known(six.decode).value
    assert unsaid == six  # the i5-8500 has six cores


@pytest.mark.parametrize("share", [0.6, 0.9, 1.3])
def test_the_estimate_after_the_run_is_what_was_measured(share: float) -> None:
    before = run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN)
    decode, prompt = known(before.decode).value * share, known(before.prompt).value * share
    both = (measured(DECODE, decode), measured(PROMPT, prompt))
    after = run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN, both)
    assert known(after.decode).value == pytest.approx(decode, rel=0.06)
    assert known(after.prompt).value == pytest.approx(prompt, rel=0.06)
    for first, second in ((before.decode, after.decode), (before.prompt, after.prompt)):
        assert known(second).high / known(second).low < known(first).high / known(first).low
        assert known(second).basis == "measured"


@pytest.mark.parametrize("changes", [{"device": "gpu0"}, {"busy": "yes"}])
def test_runs_elsewhere_or_on_a_busy_machine_change_nothing(changes: dict[str, str]) -> None:
    before = run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN)
    assert run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN, (measured(DECODE, 2.0, **changes),)) == before


def test_a_run_on_the_gpu_is_compared_with_the_gpu() -> None:
    gaming = enrich(from_spec("RTX 3060 12GB; Core i5-8500; 16GB DDR4-2666 x2; windows 11"))
    on_gpu = RUN._replace(device="gpu0", threads=None)
    assert (
        known(run_figures(gaming, MODEL, WEIGHTS, on_gpu).decode).value
        > 4 * known(run_figures(gaming, MODEL, WEIGHTS, RUN).decode).value
    )
    described = msgspec.structs.replace(gaming, accelerators=())
    assert known(run_figures(described, MODEL, WEIGHTS, RUN).decode).value == pytest.approx(
        known(run_figures(OFFICE_PC, MODEL, WEIGHTS, RUN).decode).value, rel=0.05
    )
