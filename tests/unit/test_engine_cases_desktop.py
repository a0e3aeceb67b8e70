"""Published figures of Ollama, LM Studio and MLX against the answers of `--engine`."""

import sys
from pathlib import Path
from typing import Any

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.engines.ollama import drafting_bytes
from probe.recommender.answer import Estimate
from probe.recommender.estimators import answer_of
from probe.recommender.fit_ollama import OllamaEstimator
from probe.recommender.options import Options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = Path(__file__).parents[1] / "truth" / "engine_cases_desktop.toml"
CASES: list[dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))["case"]


def named(*keys: str) -> list[Any]:
    found = [case for case in CASES if any(key in case for key in keys)]
    return [
        pytest.param(case, id=f"{case['engine']}-{case['model']}-{case['quantization']}") for case in found
    ]


def options_of(case: dict[str, Any]) -> Options:
    return Options(
        engine=case["engine"],
        quantization=case["quantization"],
        context=case.get("context", 8192),
        context_asked="context" in case,
        parallel_asked=False,
    )


def answer(case: dict[str, Any]) -> Estimate:
    machine = enrich(from_spec(case["machine"]))
    return answer_of(machine, find_model(case["model"]), options_of(case))


@pytest.mark.parametrize("case", named("gpu_weights_mib", "weights_mib"))
def test_weights_are_those_of_the_log(case: dict[str, Any]) -> None:
    """llama.cpp's own buffer lines, printed with two digits."""
    estimate = answer(case)
    on_cpu = sum(d.weights_bytes for d in estimate.memory.per_device if d.device == "cpu")
    on_gpus = sum(d.weights_bytes for d in estimate.memory.per_device if d.device != "cpu")
    assert estimate.placement.gpu_layers == case.get("gpu_layers", 0)
    assert on_cpu / 2**20 == pytest.approx(case.get("cpu_weights_mib", case.get("weights_mib")), abs=0.006)
    assert on_gpus / 2**20 == pytest.approx(case.get("gpu_weights_mib", 0), abs=0.006)


@pytest.mark.parametrize("case", named("kv_mib"))
def test_caches_and_states_are_those_of_the_log(case: dict[str, Any]) -> None:
    """A state for each drafted token and one more: the high end of the band counts them."""
    estimate = answer(case)
    kv = sum(device.kv_cache_bytes or 0 for device in estimate.memory.per_device)
    state = sum(device.recurrent_state_bytes or 0 for device in estimate.memory.per_device)
    assert kv / 2**20 == pytest.approx(case["kv_mib"], abs=0.006)
    assert (state + drafting_bytes(0, state)) / 2**20 == pytest.approx(case["drafting_state_mib"], abs=0.006)
    assert estimate.memory_range is not None
    assert estimate.memory_range.high >= (estimate.memory.total_bytes or 0) + drafting_bytes(0, state)


@pytest.mark.parametrize("case", named("default_context"))
def test_ollama_starts_its_server_as_in_the_log(case: dict[str, Any]) -> None:
    estimator = OllamaEstimator(enrich(from_spec(case["machine"])), options_of(case))
    started = estimator.request_for(find_model(case["model"]), case["quantization"])
    assert (started.context, started.ubatch) == (case["default_context"], case["batch"])


@pytest.mark.parametrize("case", named("peak_gb"))
def test_peak_memory_lies_in_the_printed_band(case: dict[str, Any]) -> None:
    band = answer(case).memory_range
    assert band is not None
    assert band.low <= case["peak_gb"] * 1e9 <= band.high
    assert band.high <= 1.5 * band.low  # a band that says something
