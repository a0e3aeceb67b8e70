"""Our recipes against a real quantizer, on models of many architectures without any weights."""

from pathlib import Path

import pytest

from probe.catalog.models import all_models
from probe.estimate.weights import gguf_types
from tests.rig.llama_quantize import find_llama_quantize, quantizer_types

PROGRAM = find_llama_quantize()
MODELS = {model.id: model for model in all_models()}
pytestmark = [pytest.mark.rig, pytest.mark.skipif(PROGRAM is None, reason="no llama-quantize here")]


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-3.2-1B-Instruct",
        "Qwen/Qwen3-30B-A3B",
        "Qwen/Qwen3.5-2B",
        "google/gemma-4-E2B-it",
        "openai/gpt-oss-20b",
        "deepseek-ai/DeepSeek-V2-Lite-Chat",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "tiiuae/falcon-7b-instruct",
        "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
        "LGAI-EXAONE/K-EXAONE-236B-A23B",
    ],
)
def test_the_quantizer_gives_every_tensor_the_type_we_say(name: str, tmp_path: Path) -> None:
    assert PROGRAM is not None
    for quantization in ("Q4_K_M", "IQ2_M", "Q8_0"):
        real = quantizer_types(PROGRAM, MODELS[name], quantization, tmp_path)
        assert gguf_types(MODELS[name], quantization, imatrix=False) == real
