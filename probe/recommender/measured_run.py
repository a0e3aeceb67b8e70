"""A real run of an engine beside what we say about that very run."""

from typing import NamedTuple

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed import estimate_speed, experts_touched, prompt_figures, prompt_shape
from probe.estimate.speed_bytes import kv_read_bytes
from probe.estimate.speed_calibration import RunInputs, calibrated
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_prompt import BATCH
from probe.estimate.weight_bytes import WeightBytes
from probe.machine import Machine, Range
from probe.machine.description import Measurement
from probe.recommender.pools import machine_pools
from probe.recommender.speed_devices import device_of_pool


class RunFigures(NamedTuple):
    """What we say about one run."""

    decode: Range | None
    prompt: Range | None


def run_inputs(
    spec: ModelSpec,
    weights: WeightBytes,
    device: str,
    *,
    prompt_tokens: int,
    generated_tokens: int,
    behind_prompt: bool,
    threads: int | None,
) -> RunInputs:
    """The run as the formulas see it.

    Args:
        behind_prompt: the tokens were generated behind the prompt (servers), not in an
            empty cache (llama-bench).
    """
    depth = generated_tokens / 2 + (prompt_tokens if behind_prompt else 0)
    try:
        kv = round(kv_read_bytes(hparams_from_metadata(gguf_metadata(spec)), depth))
    except NotModeledError:
        kv = 0
    shape = prompt_shape(spec)
    batch = min(BATCH, max(1, prompt_tokens))
    return RunInputs(
        device=device,
        quantization=weights.quantization,
        weight_bytes=weights.active_bytes,
        batch_bytes=round(weights.active_bytes * experts_touched(spec, weights, batch)),
        kv_bytes=kv,
        layers=len(weights.layers),
        operations=shape.operations,
        attention_width=shape.attention_width,
        sliding_width=shape.sliding_width,
        window=shape.window,
        experts=shape.experts,
        prompt_tokens=prompt_tokens,
        threads=threads,
        attention_per_cache_byte=shape.attention_per_cache_byte,
    )


def run_figures(
    machine: Machine,
    spec: ModelSpec,
    weights: WeightBytes,
    run: RunInputs,
    measurements: tuple[Measurement, ...] = (),
) -> RunFigures:
    """Our decode and prompt speed for that run; `measurements` are what may be known already."""
    device = _device(machine, run)
    if measurements:
        device = calibrated(device, measurements)
    figures = estimate_speed(spec, weights, (device,))
    prompt = prompt_figures(spec, weights, (device,), tokens=run.prompt_tokens) if run.prompt_tokens else None
    return RunFigures(figures.decode_tokens_per_s, prompt)


def _device(machine: Machine, run: RunInputs) -> SpeedDevice:
    pool = machine_pools(machine).by_device(run.device)
    device = device_of_pool(
        pool, machine, active=run.weight_bytes, kv=run.kv_bytes, layers=run.layers, link=None
    )
    if run.threads is None:
        return device
    return msgspec.structs.replace(device, usable_cores=run.threads)
