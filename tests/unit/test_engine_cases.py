"""SGLang, TensorRT-LLM, ExLlama and Transformers against public figures: tests/truth/engine_cases.toml."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.catalog.engine_memory import engine_memory_rules
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.engines import exllama, sglang, tensorrt_llm, transformers
from probe.engines.engine_devices import EngineDevices, EngineGpu
from probe.engines.request import Request
from probe.engines.torch_cache import cache_shape
from probe.engines.vllm_split import Parallel, weights_of_stages
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.units import GIB, MIB

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRUTH = Path(__file__).resolve().parents[1] / "truth" / "engine_cases.toml"
CASES: dict[str, list[dict[str, Any]]] = tomllib.loads(TRUTH.read_text(encoding="utf-8"))
PLACE = {
    "exllamav3": partial(exllama.place, engine=exllama.V3),
    "exllamav2": partial(exllama.place, engine=exllama.V2),
    "transformers": transformers.place,
}


def model_of(case: dict[str, Any]) -> ModelSpec:
    spec = find_model(case["model"])
    if "vocabulary" not in case:
        return spec
    assert spec.dimensions is not None
    wider = msgspec.structs.replace(spec.dimensions, vocab_size=case["vocabulary"])
    return msgspec.structs.replace(spec, dimensions=wider)


def label(case: dict[str, Any]) -> str:
    parts = (case.get("engine"), case["model"], case.get("format"), case.get("kv_type"), case.get("context"))
    return "-".join(str(part) for part in parts if part is not None)


def on_the_gpu_bytes(case: dict[str, Any], spec: ModelSpec) -> int:
    weights = checkpoint_weights(spec, case["format"])
    if case["engine"].startswith("exllama"):
        return sum(weights.layers) + weights.output_bytes  # the table stays in RAM
    return weights_of_stages(weights, Parallel(tp=case.get("tp", 1)), with_vision=False)[0]


@pytest.mark.parametrize("case", CASES["weights"], ids=label)
def test_weights_take_what_the_engine_prints(case: dict[str, Any]) -> None:
    assert on_the_gpu_bytes(case, model_of(case)) == pytest.approx(case["gib"] * GIB, rel=case["tolerance"])


@pytest.mark.parametrize("case", CASES["cache"], ids=label)
def test_cache_of_so_many_tokens_takes_what_the_engine_prints(case: dict[str, Any]) -> None:
    """Printed in hundredths of a GiB."""
    spec = model_of(case)
    if case["engine"] == "sglang":
        shape = sglang.pool_shape(spec, tp=case["tp"], fp8=False)
    else:
        shape = cache_shape(spec, tp=case["tp"])
    assert shape is not None
    size = shape.attention_bytes(case["tokens"], windowed=False)
    assert size == pytest.approx(case["gib"] * GIB, abs=0.011 * GIB)


@pytest.mark.parametrize("case", CASES["pool"], ids=label)
def test_sglang_fills_its_share_of_what_was_free(case: dict[str, Any]) -> None:
    """Its tokens to a thousandth: free memory and weights are printed in hundredths of a GiB."""
    tp = case.get("tp", 1)
    share = case.get("static_share")
    if share is None:
        listed = round(case["listed_gib"] * GIB)
        share = sglang.defaults(listed, tp=tp, prefill_graphs=case["prefill_graphs"]).static_share
    shape = sglang.pool_shape(model_of(case), tp=tp, fp8=False)
    assert shape is not None
    room = (case["free_gib"] * share - case["weights_gib"]) * GIB
    assert room / shape.token_bytes == pytest.approx(case["tokens"], rel=0.001)


@pytest.mark.parametrize("case", CASES["trial"], ids=label)
def test_tensorrt_llm_takes_nine_tenths_of_what_a_trial_run_leaves(case: dict[str, Any]) -> None:
    spec = model_of(case)
    shape = cache_shape(spec)
    assert shape is not None
    assert spec.dimensions is not None
    token = shape.token_bytes + sum(size for _, size in shape.windows)
    left = (case["total_gib"] - case["peak_gib"] + case["trial_cache_gib"]) * GIB
    fraction = engine_memory_rules().tensorrt_llm.free_gpu_memory_fraction
    assert left * fraction / token == pytest.approx(case["tokens"], rel=0.002)
    band = tensorrt_llm.activation_bytes(spec.dimensions, tp=1)
    assert band.low < case["activations_gib"] * GIB < band.high


@pytest.mark.parametrize("case", CASES["total"], ids=label)
def test_used_gpu_memory_lies_in_the_printed_range(case: dict[str, Any]) -> None:
    spec = model_of(case)
    gpu = EngineGpu(
        device="gpu0",
        vendor="nvidia",
        backend="cuda",
        capability=(8, 9),
        listed_bytes=24 * GIB,
        total_bytes=24 * GIB,
    )
    weights = checkpoint_weights(spec, case["format"])
    request = Request(context=case["context"], kv_type_k=case.get("kv_type", "f16"))
    answer = PLACE[case["engine"]](spec, weights, request, EngineDevices(gpus=(gpu,), ram_bytes=64 * GIB))
    assert answer is not None
    assert answer.devices == ("gpu0",)
    assert answer.memory_range is not None
    beside = sum(device.weights_bytes for device in answer.memory.per_device if device.device == "cpu")
    low, high = answer.memory_range.low - beside, answer.memory_range.high - beside
    assert low <= case["mib"] * MIB <= high
    assert high < 1.5 * low + GIB  # a range that promises everything would promise nothing


def test_every_engine_has_a_public_figure() -> None:
    named = {case["engine"] for kind in ("weights", "cache", "total") for case in CASES[kind]}
    assert named == {"sglang", "tensorrt-llm", "exllamav3", "exllamav2", "transformers"}
    assert all(case["source"] for kind in CASES.values() for case in kind)
