"""Weights by element type against what llama.cpp's quantizer printed, model by model."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest

from probe.catalog.models import all_models
from probe.estimate.tensors import model_tensors
from probe.estimate.weights import gguf_types, gguf_weights
from probe.estimate.weights.gguf import computed_weights
from probe.estimate.weights.gguf_types import tensor_bytes

RECORDED = Path(__file__).parent.parent / "truth" / "llamacpp_types.jsonl.gz"
MODELS = {model.id: model for model in all_models()}


def recorded() -> dict[str, list[tuple[str, dict[str, int]]]]:
    """Model -> (quantization, bytes by type), as scripts/record_quantizer_types.py wrote them."""
    found: dict[str, list[tuple[str, dict[str, int]]]] = defaultdict(list)
    for line in gzip.decompress(RECORDED.read_bytes()).decode().splitlines():
        row = json.loads(line)
        found[row["model"]].append((row["quantization"], row["bytes"]))
    return found


@pytest.mark.parametrize(
    ("name", "rows"), recorded().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_type_weighs_what_the_quantizer_makes_of_it(
    name: str, rows: list[tuple[str, dict[str, int]]]
) -> None:
    """tests/truth/llamacpp_types.jsonl.gz: llama.cpp b11434, `llama-quantize --dry-run`."""
    model = MODELS[name]
    tensors = model_tensors(model)
    for quantization, expected in rows:
        types = gguf_types(model, quantization, imatrix=False)
        ours: dict[str, int] = defaultdict(int)
        for tensor in tensors:
            ours[types[tensor.name]] += tensor_bytes(types[tensor.name], tensor.shape)
        assert dict(ours) == expected, quantization
        assert computed_weights(model, quantization, imatrix=False).file_bytes == sum(expected.values())


def test_the_record_covers_the_architectures_people_run() -> None:
    architectures = {MODELS[name].architecture for name in recorded()}
    assert len(architectures) > 65
    assert {"llama", "qwen3moe", "gemma3n", "gpt-oss", "deepseek4", "kimi-linear", "falcon"} <= architectures
    assert all(gguf_weights(MODELS[name], "Q4_K_M").exact for name in recorded())
