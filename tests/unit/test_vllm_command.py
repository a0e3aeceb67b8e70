"""vLLM's command line sets what was computed; a division that the model does not allow is refused.

Flags: vllm 0.33.0, engine/arg_utils.py. Divisions: distributed/utils.py (divide) and the linear layers.
"""

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.engines.request import Request
from probe.engines.vllm import serve, serve_on, split_refusals
from probe.engines.vllm_budget import VllmGpu, gpus_of
from probe.engines.vllm_command import serve_command
from probe.engines.vllm_split import Parallel
from probe.estimate.weights import checkpoint_weights


def _gpus(words: str, **changes: object) -> tuple[VllmGpu, ...]:
    return tuple(msgspec.structs.replace(gpu, **changes) for gpu in gpus_of(enrich(from_spec(words))))


def _line(words: str, model: str, quantization: str, *, kv: str = "auto", **gpu: object) -> str:
    spec, request = find_model(model), Request(context=4096, kv_type_k=kv, kv_type_v=kv)
    answer = serve(spec, checkpoint_weights(spec, quantization), request, _gpus(words, **gpu))
    assert answer is not None
    return serve_command(spec, quantization, request, answer).line


@pytest.mark.parametrize(
    ("words", "model", "quantization", "flags"),
    [
        ("RTX 4090", "qwen3-8b", "bf16", "vllm serve Qwen/Qwen3-8B --max-model-len 4096"),
        # No 8-bit checkpoint was published for it: vLLM quantizes while loading.
        ("RTX 4090", "llama-2-7b", "fp8", " --quantization fp8 "),
        ("2x RTX 3090", "qwen3-14b", "bf16", " --tensor-parallel-size 2 "),
        # Before Ampere there is no bfloat16.
        ("Tesla T4", "qwen3-4b", "bf16", " --dtype half"),
    ],
)
def test_line_sets_what_was_computed(words: str, model: str, quantization: str, flags: str) -> None:
    assert flags in f"{_line(words, model, quantization)} "


def test_cache_in_8_bits_is_asked_for_by_name() -> None:
    assert _line("RTX 4090", "qwen3-8b", "bf16", kv="fp8").endswith("--kv-cache-dtype fp8")


def test_pipeline_is_a_flag_of_its_own() -> None:
    """Three cards cannot share 32 heads: the layers are divided."""
    spec, request = find_model("llama-3.1-8b"), Request(context=4096)
    weights = checkpoint_weights(spec, "bf16")
    answer = serve_on(spec, weights, request, _gpus("3x RTX 3060 12GB"), Parallel(tp=1, pp=3))
    line = serve_command(spec, "bf16", request, answer).line
    assert "--pipeline-parallel-size 3" in line and "--tensor-parallel-size" not in line


def test_memory_that_others_hold_lowers_the_share() -> None:
    """14 of 24 GiB free: vLLM would refuse to start with its own share of 0.92."""
    line = _line("RTX 4090", "qwen3-4b", "bf16", free_bytes=14 * 1024**3)
    share = float(line.split("--gpu-memory-utilization ")[1].split(" ")[0])
    assert 0.5 < share <= 14 / 24


@pytest.mark.parametrize(
    ("model", "quantization", "tp", "codes"),
    [
        ("llama-3.1-8b", "bf16", 8, set()),
        ("llama-3.1-8b", "bf16", 3, {"vllm.split.heads", "vllm.split.kv_heads", "vllm.split.width"}),
        # Eight heads of keys and values on sixteen cards are doubled, on twelve they cannot be.
        ("llama-3.1-8b", "bf16", 16, set()),
        # Groups of 128 weights share a scale: 9728 / 8 is no multiple of 128.
        ("qwen3-4b", "awq", 8, {"vllm.split.width"}),
        ("qwen3-4b", "bf16", 8, set()),
    ],
)
def test_division_that_does_not_come_out_even_is_refused(
    model: str, quantization: str, tp: int, codes: set[str]
) -> None:
    assert {reason.code for reason in split_refusals(find_model(model), quantization, tp)} == codes


def test_nothing_is_promised_without_shapes_or_gpus() -> None:
    spec = find_model("qwen3-8b")
    weights = checkpoint_weights(spec, "bf16")
    unknown = msgspec.structs.replace(spec, dimensions=None)
    assert serve(unknown, weights, Request(), _gpus("RTX 4090")) is None
    assert serve(spec, weights, Request(), ()) is None
