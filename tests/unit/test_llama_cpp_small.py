"""Caches and buffers of 122 architectures, on the small models of llama.cpp's own tests.

tests/truth/llamacpp_small.jsonl.gz: every model that tests/test-llama-archs.cpp of b11434 writes
(`--out`), without the scales that no other file has: metadata, tensors, and what the engine
reserves for five contexts on the CPU (no_alloc): weights, caches with states, compute buffer.
MiniMax-M3's rows are of a conversation as long as the context.
"""

import gzip
import json
from math import prod
from pathlib import Path
from typing import Any

import pytest

from probe.catalog.model_spec import ModelSpec, StoredTensor
from probe.engines.llama_cpp import hparams_of, lay_out
from probe.engines.request import LayerSplit, Request
from probe.estimate.breakdown import DeviceMemory
from probe.estimate.compute_buffer import output_buffer_bytes
from probe.estimate.weights import gguf_weights
from probe.model_files.gguf_model import model_from_metadata

TRUTH = Path(__file__).resolve().parents[1] / "truth" / "llamacpp_small.jsonl.gz"
MODELS: dict[str, dict[str, Any]] = {
    entry["file"]: entry
    for entry in map(json.loads, gzip.decompress(TRUTH.read_bytes()).decode("utf-8").splitlines())
}
REQUESTS = (
    Request(context=2048),
    Request(context=2048, flash_attention=False),
    Request(context=512, parallel=4),
    Request(context=1365, parallel=3, kv_unified=True, ubatch=128),
    Request(context=2048, kv_type_k="q8_0", kv_type_v="q8_0"),
)
# Their graphs are not written down; what is, must be equal.
NO_GRAPH = {
    "arctic", "baichuan", "bailingmoe3", "bloom", "cogvlm", "cohere2moe", "dbrx", "dots3note", "dream",
    "glm5-next", "gpt2", "gptneox", "grok", "grovemoe", "hrm_text", "hy_v4", "jais", "jais2", "kimi-k3",
    "llada", "llada-moe", "mpt", "olmo", "plamo2", "pockettts", "qwen3tts", "qwen4exp",
    "refact", "rnd1", "smallthinker", "starcoder", "talkie",
}  # fmt: skip
NO_CACHE = {"hrm_text"}  # its layers run more than once


def model(entry: dict[str, Any]) -> ModelSpec:
    tensors = tuple(
        StoredTensor(name=name, shape=tuple(shape), type=kind, size_bytes=4 * prod(shape))
        for name, shape, kind in entry["tensors"]
    )
    return model_from_metadata(
        entry["metadata"], name=entry["file"], tensors=tensors, file_quantization="F32"
    )


def on_cpu(spec: ModelSpec, request: Request) -> DeviceMemory:
    (device,) = lay_out(spec, gguf_weights(spec, "F32"), request, LayerSplit(), backend="cpu").per_device
    return device


@pytest.mark.parametrize("name", list(MODELS))
def test_every_architecture_is_equal_or_says_that_it_is_unknown(name: str) -> None:
    entry = MODELS[name]
    spec = model(entry)
    for request, measured in zip(REQUESTS, entry["measured"], strict=True):
        if measured is None:  # the engine refuses a quantized cache of this model
            continue
        weights, cache, compute = measured
        ours = on_cpu(spec, request)
        # the engine rounds each tensor up to 32 bytes
        assert 0 <= weights - ours.weights_bytes < 32 * len(entry["tensors"])
        if ours.kv_cache_bytes is None or ours.recurrent_state_bytes is None:
            assert spec.architecture in NO_CACHE
            continue
        assert ours.kv_cache_bytes + ours.recurrent_state_bytes == cache, request
        if ours.compute_bytes is None:
            assert spec.architecture in NO_GRAPH
            continue
        output = output_buffer_bytes(hparams_of(spec), request.parallel)
        assert ours.compute_bytes - output == compute, request


def test_what_is_said_to_be_unknown_is() -> None:
    unknown: dict[str, set[str | None]] = {"cache": set(), "graph": set()}
    for entry in MODELS.values():
        spec = model(entry)
        ours = on_cpu(spec, REQUESTS[0])
        if ours.kv_cache_bytes is None:
            unknown["cache"].add(spec.architecture)
        if ours.compute_bytes is None:
            unknown["graph"].add(spec.architecture)
    assert unknown == {"cache": NO_CACHE, "graph": NO_GRAPH}
