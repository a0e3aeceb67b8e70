"""A GGUF on the disk is weighed and laid out like the catalog's row of the same model.

The file's tensors are those that our own tables give the model; only the way differs on which
the figures come about: tensor by tensor from the file, or from the shapes of the catalog.
"""

import msgspec
import pytest

from probe.catalog.model_spec import ModelSpec, StoredTensor
from probe.catalog.models import find_model
from probe.engines.llama_cpp import lay_out
from probe.engines.llama_cpp_rejections import rejections
from probe.engines.request import LayerSplit, Request
from probe.estimate.tensors import model_tensors
from probe.estimate.weights import gguf_weights
from probe.estimate.weights.gguf import computed_weights, gguf_types
from probe.estimate.weights.gguf_types import tensor_bytes

MODELS = (
    "llama-3.1-8b",
    "gemma-3-4b",
    "gemma-3n-e4b",
    "qwen3-30b-a3b",
    "deepseek-v2-lite",
    "gpt-oss-20b",
    "granite-4.0-h-tiny",
    "glm-4.5-air",
    "nemotron-nano-9b-v2",
    "phi-4-mini",
    "bge-m3",
)
QUANTIZATION = "Q4_K_M"


def _file_of(spec: ModelSpec) -> ModelSpec:
    types = gguf_types(spec, QUANTIZATION)
    tensors = tuple(
        StoredTensor(
            name=tensor.name,
            shape=tensor.shape,
            type=types[tensor.name],
            size_bytes=tensor_bytes(types[tensor.name], tensor.shape),
        )
        for tensor in model_tensors(spec)
    )
    return msgspec.structs.replace(
        spec, origin="gguf", stored_tensors=tensors, file_quantization=QUANTIZATION
    )


@pytest.mark.parametrize("name", MODELS)
def test_file_weighs_in_each_place_what_the_row_weighs(name: str) -> None:
    row = find_model(name)
    file = gguf_weights(_file_of(row), QUANTIZATION)
    assert file == computed_weights(row, QUANTIZATION)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("gpu_layers", "extra_bufts"), [(0, True), (0, False), (999, False)])
def test_file_is_laid_out_as_the_row(name: str, gpu_layers: int, extra_bufts: bool) -> None:
    row = find_model(name)
    file, request = _file_of(row), Request(context=8192)
    split = LayerSplit(gpu_layers=gpu_layers, shares=(("gpu0", 1.0),)) if gpu_layers else LayerSplit()
    backend = "cuda" if gpu_layers else "cpu"
    ours, its = (
        lay_out(
            spec,
            gguf_weights(spec, QUANTIZATION),
            request,
            split,
            backend=backend,
            extra_bufts=extra_bufts,
        )
        for spec in (row, file)
    )
    assert its == ours


def test_file_of_an_unknown_architecture_is_left_to_llama_cpp() -> None:
    """A row without an architecture of llama.cpp is refused, a file is not: llama.cpp may know it."""
    row = msgspec.structs.replace(
        find_model("llama-3.1-8b"), architecture=None, hf_architecture="NewForCausalLM"
    )
    (found,) = rejections(row, Request())
    assert (found.code, found.values) == ("verdict.not_in_llama_cpp", {"architecture": "NewForCausalLM"})
    assert rejections(msgspec.structs.replace(row, stored_tensors=()), Request()) == ()


def test_repacking_of_unknown_tensors_is_a_band_and_no_figure() -> None:
    """Nothing to 2 % of the weights: what AMX added to the models that were measured."""
    row = find_model("llama-3.1-8b")
    unknown = msgspec.structs.replace(row, id="test/unknown", origin="checkpoint", architecture="newarch")
    weights = computed_weights(row, QUANTIZATION)
    (cpu,) = lay_out(unknown, weights, Request(), LayerSplit(), backend="cpu", extra_bufts=True).per_device
    assert cpu.weights_bytes is not None and cpu.compute_bytes is None
    assert (cpu.repack_bytes.low, cpu.repack_bytes.high) == (0, cpu.weights_bytes // 50)
