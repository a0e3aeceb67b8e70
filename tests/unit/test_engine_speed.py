"""Speed of vLLM, SGLang and MLX: constants belong to their data, and the product computes what was fitted."""

import math

import msgspec
import numpy as np
import pytest

from probe.catalog.engine_speed import engine_speeds
from probe.catalog.models import find_model
from probe.catalog.speed_constants import speed_constants
from probe.estimate.speed import estimate_speed
from probe.estimate.speed_device import Shifts
from probe.estimate.speed_served import (
    MOST_OF_PEAK,
    engine_speed,
    is_narrow,
    is_packed,
    peak_per_s,
    prompt_gain,
    prompt_seconds_of,
    served_by,
)
from probe.estimate.weights.checkpoint import checkpoint_weights
from scripts.fit_engine_speed import (
    NAMES,
    PROMPT_NAMES,
    Run,
    data_hash,
    fit_decode,
    is_divided,
    load,
    solve,
    token_seconds,
    was_cached,
)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    placed, unplaced = load()
    assert not unplaced
    return placed


def unknowns(engine: str) -> tuple[np.ndarray, np.ndarray]:
    """The file's numbers as the fit has them."""
    own = engine_speeds().engines[engine]
    decode = {**msgspec.structs.asdict(own), "sync": math.log(own.tensor_sync_s), "old": 0.0}
    prompt = {
        "rate": own.prompt_rate,
        "narrow": own.prompt_narrow,
        "layer": math.log(own.prompt_layer_s),
        "parallel": own.prompt_parallel,
    }
    return np.array([decode[name] for name in NAMES]), np.array([prompt[name] for name in PROMPT_NAMES])


def test_the_file_belongs_to_its_data_and_to_the_speed_model() -> None:
    assert engine_speeds().data_sha256 == data_hash()


@pytest.mark.parametrize("engine", ["vllm", "sglang", "mlx-lm"])
def test_the_product_gives_the_seconds_that_were_fitted(runs: list[Run], engine: str) -> None:
    decode, _ = unknowns(engine)
    checked = 0
    for run in runs:
        if run.engine != engine or run.requests != 1 or run.old:
            continue
        ours = estimate_speed(
            run.spec,
            run.weights,
            tuple(msgspec.structs.replace(run.device, device=f"gpu{index}") for index in range(run.gpus)),
            split="tensor" if run.gpus > 1 else "none",
            engine=engine,
        ).decode_tokens_per_s
        assert ours is not None
        assert 1 / ours.value == pytest.approx(token_seconds(run, decode), rel=1e-3)
        assert ours.low < ours.value <= ours.high
        checked += 1
    assert checked > 20


def test_single_gpus_come_out_within_a_third(runs: list[Run]) -> None:
    """Of the rows that were fitted: three in four within 20 %, nine in ten within 35 %."""
    decode, _ = unknowns("vllm")
    errors = [
        abs(1 / token_seconds(run, decode) / run.decode - 1)
        for run in runs
        if run.engine == "vllm" and run.requests == 1 and run.decode and not is_divided(run) and not run.old
    ]
    assert len(errors) > 25
    assert np.quantile(errors, 0.75) < 0.2
    assert np.quantile(errors, 0.9) < 0.35


def test_a_device_left_out_has_no_say(runs: list[Run]) -> None:
    some = [run for run in runs if run.engine == "mlx-lm" and run.requests == 1 and run.decode]
    prior = ((0.0,) * len(NAMES), (0.2,) * len(NAMES))
    without = [run for run in some if run.device.name != some[0].device.name]
    assert not np.allclose(fit_decode(some, prior), fit_decode(without, prior), atol=1e-4)
    assert np.allclose(fit_decode(without, prior), fit_decode(list(without), prior))


def test_the_fit_finds_a_number_between_rows_and_prior(runs: list[Run]) -> None:
    """One unknown, rows of one device at a factor of e^0.3, a prior at 0: the rows win by their weight."""
    same = [run for run in runs if run.device.name == runs[0].device.name][:4]
    found = solve(
        same, lambda _run, x: float(np.exp(x[0])), lambda _run: math.exp(0.1), ((0.0,), (0.2,)), sigma=0.2
    )
    weight = len(same) * len(same) ** -0.5
    assert found[0] == pytest.approx(0.1 * weight / (weight + 1), abs=1e-3)


def test_a_prompt_faster_than_the_matrix_units_was_in_the_cache(runs: list[Run]) -> None:
    cached = [run for run in runs if run.requests == 1 and was_cached(run)]
    assert cached
    slower = cached[0]._replace(prompt=(cached[0].prompt or 0.0) * 20)
    assert not was_cached(slower)


@pytest.mark.parametrize(
    ("quantization", "packed", "narrow"),
    [
        ("bf16", False, False),
        ("fp16", False, False),
        ("awq", True, False),
        ("gptq-int4", True, False),
        ("gptq-int8", True, False),
        ("w4a16", True, False),
        ("fp8-block", False, True),
        ("nvfp4", False, True),
        ("mxfp4", False, True),
        ("int8", False, True),
        ("mlx-4bit", True, False),
        ("mlx-8bit", False, True),
    ],
)
def test_formats_are_packed_narrow_or_neither(quantization: str, packed: bool, narrow: bool) -> None:
    assert (is_packed(quantization), is_narrow(quantization)) == (packed, narrow)


def test_prompts_never_beat_the_matrix_units(runs: list[Run]) -> None:
    served = engine_speed("vllm")
    assert served is not None
    card = next(run.device for run in runs if run.device.name == "NVIDIA GeForce RTX 4090")
    peak = peak_per_s(card, narrow=False) or 0.0
    assert peak == pytest.approx(165.2e12, rel=0.01)
    assert peak_per_s(card, narrow=True) == pytest.approx(2 * peak)
    assert prompt_gain(served, card, "bf16", rate=peak) == pytest.approx(MOST_OF_PEAK)
    assert prompt_gain(served, card, "bf16", rate=peak / 100) == pytest.approx(math.exp(served.prompt_rate))


def test_what_was_measured_on_a_device_stays(runs: list[Run]) -> None:
    served = engine_speed("vllm")
    assert served is not None
    own = msgspec.structs.replace(
        runs[0].device, shifts=Shifts(efficiency=0.1), measured=True, prompt_factor=1.2, prompt_measured=True
    )
    (found,) = served_by((own,), served, runs[0].weights, speed_constants(), experts=False)
    assert (found.shifts, found.prompt_factor) == (own.shifts, 1.2)


def test_gpus_that_share_a_prompt_lose_some_of_the_gain() -> None:
    served = engine_speed("vllm")
    assert served is not None
    fixed = 32 * served.prompt_layer_s
    one = prompt_seconds_of(served, [4.0], 32, together=False)
    assert one == pytest.approx(4.0 + fixed)
    assert prompt_seconds_of(served, [2.0, 2.0], 32, together=False) == pytest.approx(4.0 + fixed)
    shared = prompt_seconds_of(served, [2.0, 2.0], 32, together=True)
    assert 2.0 + fixed < shared < one


def test_an_engine_without_rows_is_estimated_as_llama_cpp(runs: list[Run]) -> None:
    spec = find_model("llama-3.1-8b")
    weights = checkpoint_weights(spec, "bf16")
    device = msgspec.structs.replace(runs[0].device, active_weight_bytes=weights.active_bytes, layers=32)
    plain = estimate_speed(spec, weights, (device,))
    assert estimate_speed(spec, weights, (device,), engine="tensorrt-llm") == plain
    assert estimate_speed(spec, weights, (device,), engine="vllm") != plain


def test_a_range_does_not_end_above_the_bandwidth(runs: list[Run]) -> None:
    card = next(run for run in runs if run.engine == "vllm" and run.device.name == "NVIDIA GeForce RTX 4090")
    ours = estimate_speed(card.spec, card.weights, (card.device,), engine="vllm")
    assert ours.decode_tokens_per_s is not None
    assert ours.decode_limit_tokens_per_s is not None
    assert ours.decode_tokens_per_s.high <= ours.decode_limit_tokens_per_s
    assert ours.decode_tokens_per_s.basis == "fit_engine"
