"""A whole placement: every device's parts, what is unknown, and the longest context."""

import msgspec
import pytest

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.engines.llama_cpp import lay_out, max_context, refuses_cache_types
from probe.engines.request import LayerSplit, Request
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.weights import gguf_weights
from probe.units import GIB

CATALOG = {model.id: model for model in all_models()}
LLAMA = CATALOG["meta-llama/Llama-3.1-8B-Instruct"]
ONE = LayerSplit(gpu_layers=33, shares=(("gpu0", 1.0),))


def laid_out(spec: ModelSpec, split: LayerSplit, **asked: object) -> MemoryBreakdown:
    request = msgspec.structs.replace(Request(), **asked)
    backend = "cuda" if split.shares else "cpu"
    return lay_out(spec, gguf_weights(spec, "Q4_K_M"), request, split, backend=backend)


def test_a_gpu_holds_all_but_the_input_table_and_the_inputs() -> None:
    cpu, gpu = laid_out(LLAMA, ONE).per_device
    assert (cpu.device, gpu.device) == ("cpu", "gpu0")
    weights = gguf_weights(LLAMA, "Q4_K_M")
    assert cpu.weights_bytes == weights.token_embedding_bytes
    assert gpu.weights_bytes == weights.loaded_bytes - weights.token_embedding_bytes
    assert (cpu.kv_cache_bytes, gpu.kv_cache_bytes) == (0, GIB)
    assert cpu.compute_bytes is not None
    assert 0 < cpu.compute_bytes < 64 * 2**20
    assert gpu.runtime_bytes > cpu.runtime_bytes


def test_weights_and_caches_are_the_same_wherever_they_lie() -> None:
    alone = laid_out(LLAMA, LayerSplit()).per_device
    for split in (
        ONE,
        LayerSplit(gpu_layers=12, shares=(("gpu0", 1.0),)),
        LayerSplit(gpu_layers=33, shares=(("gpu0", 1.0), ("gpu1", 2.0))),
    ):
        devices = laid_out(LLAMA, split).per_device
        assert sum(device.weights_bytes for device in devices) == alone[0].weights_bytes
        assert sum(device.kv_cache_bytes or 0 for device in devices) == alone[0].kv_cache_bytes


def test_several_gpus_at_work_together_keep_their_inputs_four_times() -> None:
    split = LayerSplit(gpu_layers=33, shares=(("gpu0", 1.0), ("gpu1", 1.0)))
    _, first, _ = laid_out(LLAMA, split, context=65536).per_device
    _, alone = laid_out(LLAMA, LayerSplit(gpu_layers=33, shares=(("gpu0", 1.0),)), context=65536).per_device
    assert first.compute_bytes is not None
    mask = 512 * 65536 * 2
    assert first.compute_bytes > 4 * mask
    assert alone.compute_bytes is not None
    assert alone.compute_bytes < first.compute_bytes + mask


def test_experts_on_the_host_are_brought_to_the_gpu_one_matrix_at_a_time() -> None:
    spec = CATALOG["Qwen/Qwen3-30B-A3B"]
    layers = len(gguf_weights(spec, "Q4_K_M").layers)
    whole = LayerSplit(gpu_layers=layers + 1, shares=(("gpu0", 1.0),))
    hybrid = msgspec.structs.replace(whole, cpu_expert_layers=layers)
    _, plain = laid_out(spec, whole).per_device
    cpu, gpu = laid_out(spec, hybrid).per_device
    experts = sum(gguf_weights(spec, "Q4_K_M").layer_experts)
    assert plain.weights_bytes - gpu.weights_bytes == experts
    assert cpu.weights_bytes > experts
    # One matrix of experts is smaller than the logits, which are the peak either way.
    assert gpu.compute_bytes == pytest.approx(plain.compute_bytes, abs=64 * 1024)


def test_an_unknown_buffer_leaves_the_weights_exact_and_the_sum_unknown() -> None:
    """Batches of one token take a graph of their own there, which is not modeled."""
    spec = CATALOG["MiniMaxAI/MiniMax-M3"]
    (cpu,) = laid_out(spec, LayerSplit(), ubatch=1).per_device
    assert cpu.weights_bytes == gguf_weights(spec, "Q4_K_M").loaded_bytes
    assert cpu.compute_bytes is None
    assert cpu.total_bytes is None


def test_rearranged_weights_are_named_as_a_range() -> None:
    for name in ("Qwen/Qwen2.5-0.5B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"):
        spec = CATALOG[name]
        weights = gguf_weights(spec, "Q4_K_M")
        (plain,) = lay_out(spec, weights, Request(), LayerSplit(), backend="cpu").per_device
        (packed,) = lay_out(
            spec, weights, Request(), LayerSplit(), backend="cpu", extra_bufts=True
        ).per_device
        assert plain.repack_bytes.high == 0
        assert packed.repack_bytes.low <= packed.repack_bytes.value <= packed.repack_bytes.high
        assert packed.repack_bytes.high > 0
        assert packed.weights_bytes == plain.weights_bytes


@pytest.mark.parametrize("capacity", [6 * GIB, 7 * GIB, 8 * GIB])
def test_the_longest_context_fits_and_the_next_does_not(capacity: int) -> None:
    weights = gguf_weights(LLAMA, "Q4_K_M")
    room = {"gpu0": capacity, "cpu": 64 * GIB}
    longest = max_context(LLAMA, weights, Request(), ONE, room, backend="cuda")
    assert longest is not None
    assert longest % 256 == 0

    def need(context: int) -> int:
        request = Request(context=context)
        gpu = lay_out(LLAMA, weights, request, ONE, backend="cuda").per_device[1]
        return gpu.total_bytes or 0

    assert need(longest) <= capacity < need(longest + 256)


def test_the_longest_context_is_the_trained_one_where_there_is_room() -> None:
    weights = gguf_weights(LLAMA, "Q4_K_M")
    room = {"gpu0": 200 * GIB, "cpu": 200 * GIB}
    assert max_context(LLAMA, weights, Request(), ONE, room, backend="cuda") == LLAMA.max_context
    assert max_context(LLAMA, weights, Request(), ONE, {"gpu0": GIB, "cpu": GIB}, backend="cuda") == 0


def test_quantized_values_need_flash_attention_and_heads_that_divide() -> None:
    plain, quantized = Request(), Request(kv_type_k="q8_0", kv_type_v="q8_0")
    assert not refuses_cache_types(LLAMA, plain)
    assert not refuses_cache_types(LLAMA, quantized)
    assert refuses_cache_types(LLAMA, msgspec.structs.replace(quantized, flash_attention=False))
    assert refuses_cache_types(CATALOG["microsoft/phi-2"], quantized)
