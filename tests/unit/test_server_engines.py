"""SGLang and TensorRT-LLM where something stands in the way: room, states, images, unknown caches."""

from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.machine import Machine
from probe.recommender.answer import Estimate, PlacementKind, Split, Verdict
from probe.recommender.estimators import answer_of
from probe.recommender.options import Options
from probe.units import GIB

ENGINES = ("sglang", "tensorrt-llm")
H100 = "NVIDIA H100 SXM; 128GB DDR5-4800 x8; ubuntu 24.04"
ONE = "RTX 4090; 64GB DDR5-5600 x2; ubuntu 24.04"
TRIPLE = "3x RTX 5090; 128GB DDR5-5600 x2; ubuntu 24.04"
EIGHT = "8x NVIDIA H200; 1024GB DDR5-4800 x16; ubuntu 24.04"


def machine_of(text: str, *, free_bytes: int | None = None) -> Machine:
    machine = enrich(from_spec(text))
    cards = tuple(
        msgspec.structs.replace(card, memory_free_bytes=free_bytes) for card in machine.accelerators
    )
    return msgspec.structs.replace(machine, accelerators=cards)


def answer(
    engine: str,
    machine: str,
    model: str,
    quantization: str | None = None,
    *,
    free_bytes: int | None = None,
    **asked: Any,
) -> Estimate:
    options = Options(engine=engine, quantization=quantization, **asked)
    return answer_of(machine_of(machine, free_bytes=free_bytes), find_model(model), options)


def codes(found: Estimate) -> set[str]:
    return {reason.code for reason in found.reasons}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("free_bytes", "now"), [(60 * GIB, True), (10 * GIB, False), (None, None)])
def test_free_memory_decides_only_about_now(engine: str, free_bytes: int | None, now: bool | None) -> None:
    """15 GiB of weights on an 80 GiB card, of which a colleague's job leaves that much."""
    found = answer(engine, H100, "llama-3.1-8b", "bf16", free_bytes=free_bytes)
    assert (found.fits, found.fits_now) == (True, now)


@pytest.mark.parametrize(
    ("engine", "option"), [("sglang", "--context-length"), ("tensorrt-llm", "--max_seq_len")]
)
def test_a_context_above_the_trained_one_is_cut_and_told(engine: str, option: str) -> None:
    found = answer(engine, H100, "phi-4", "bf16", context=65536)
    cut = next(reason for reason in found.reasons if reason.code == "engines.context_cut")
    assert cut.values == {"context": 65536, "trained": 16384}
    assert f"{option} 16384" in (found.command or "")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cache_of_unknown_layout_is_unknown_not_refused(engine: str) -> None:
    """DeepSeek-V4 keeps compressed keys that no rule here describes; its weights are known."""
    found = answer(engine, EIGHT, "deepseek-v4-flash", "fp8")
    assert (found.fits, found.fits_now, found.verdict) == (None, None, Verdict.UNKNOWN)
    assert "engines.cache_unknown" in codes(found)
    assert (found.command, found.max_context, found.memory_range) == (None, None, None)
    assert all(device.weights_bytes and device.kv_cache_bytes is None for device in found.memory.per_device)


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_alone_can_be_too_much(engine: str) -> None:
    for model, quantization in (("llama-3.3-70b", "bf16"), ("deepseek-v4-flash", "fp8")):
        found = answer(engine, ONE, model, quantization)
        assert (found.fits, found.fits_now, found.verdict) == (False, False, Verdict.NO)
        assert f"engines.{engine.replace('-', '_')}.weights_short" in codes(found)
        assert not found.max_context
        assert found.command is None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cache_too_large_is_told_with_both_figures(engine: str) -> None:
    """Keys and values of 64 layers, 1,024 wide, 16 bits, for four times 32,768 tokens."""
    found = answer(engine, ONE, "qwen3-32b", "awq", context=32768, parallel=4)
    short = next(reason for reason in found.reasons if reason.code == "engines.cache_short")
    assert short.values["need_bytes"] == 2 * 64 * 1024 * 2 * 4 * 32768
    assert 0 < int(short.values["room_bytes"] or 0) < 4 * GIB
    assert (short.values["context"], short.values["parallel"]) == (32768, 4)


@pytest.mark.parametrize(("engine", "option"), [("sglang", "--pp-size 3"), ("tensorrt-llm", "--pp_size 3")])
def test_forty_heads_on_three_cards_are_cut_by_layers(engine: str, option: str) -> None:
    """Two cards of 32 GB are too small for 61 GiB, and 40 heads do not divide by three."""
    found = answer(engine, TRIPLE, "qwen2.5-32b", "bf16", context=4096, free_bytes=31 * GIB)
    assert (found.placement.kind, found.placement.split) == (PlacementKind.MULTI_GPU, Split.LAYER)
    assert option in (found.command or "")
    assert found.fits is True
    cache = [device.kv_cache_bytes or 0 for device in found.memory.per_device]
    assert sum(cache) == pytest.approx(2 * 64 * 1024 * 2 * 4096, rel=1e-6)
    assert max(cache) / min(cache) == pytest.approx(22 / 21, rel=1e-6)


@pytest.mark.parametrize(("engine", "option"), [("sglang", "--tp-size 2"), ("tensorrt-llm", "--tp_size 2")])
def test_two_cards_share_every_layer(engine: str, option: str) -> None:
    found = answer(engine, f"2x {ONE}", "qwen2.5-32b", "awq", context=16384)
    assert found.placement.split is Split.TENSOR
    assert option in (found.command or "")


# -- SGLang ------------------------------------------------------------------------


def test_sglang_keeps_five_states_a_request_as_float32() -> None:
    """Qwen3-Next: 36 layers with 32 heads of 128 x 128 and 3 columns of 8,192 for the convolution."""
    found = answer("sglang", H100, "qwen3-next-80b-a3b", "awq")
    assert found.memory.per_device[0].recurrent_state_bytes == 5 * 36 * 4 * (32 * 128 * 128 + 3 * 8192)


def test_sglang_refuses_conversations_whose_states_have_no_room() -> None:
    """States get 9 parts of 19: however short the context, 64 requests do not fit."""
    many = answer("sglang", H100, "qwen3-next-80b-a3b", "awq", parallel=64)
    assert (many.fits, many.max_context) == (False, 0)
    shortest = answer("sglang", H100, "qwen3-next-80b-a3b", "awq", parallel=64, context=256)
    assert shortest.fits is False
    few = answer("sglang", H100, "qwen3-next-80b-a3b", "awq", parallel=8)
    assert few.fits is True
    assert few.max_context


@pytest.mark.parametrize(
    ("tower", "share"),
    [
        # SigLIP of Gemma 3 is 1.42 times ViT-L: 0.95 x (1 - 0.1 x 0.42)
        ({"num_hidden_layers": 27, "hidden_size": 1152}, 0.95 * 0.9576),
        ({}, 0.95),  # nothing said of the tower: taken for ViT-L
        ({"num_hidden_layers": 48, "hidden_size": 5120}, 0.95 * 0.8),  # never less than that
    ],
)
def test_sglang_leaves_room_for_images_by_the_size_of_the_tower(tower: dict[str, int], share: float) -> None:
    spec = msgspec.structs.replace(find_model("gemma-3-12b"), hf_config={"vision_config": tower})
    with_images = answer_of(machine_of(H100), spec, Options(engine="sglang", quantization="bf16"))
    text_only = answer("sglang", H100, "llama-3.1-8b", "bf16")

    def static(found: Estimate) -> float:
        device = found.memory.per_device[0]
        mine = (device.available_bytes or 0) - (device.runtime_bytes or 0)
        return 1 - (device.compute_bytes or 0) / mine

    assert static(with_images) / static(text_only) == pytest.approx(share, rel=1e-4)


def test_sglang_quantizes_to_bitsandbytes_while_loading() -> None:
    found = answer("sglang", H100, "llama-3.1-8b", "bnb-nf4")
    assert "--quantization bitsandbytes" in (found.command or "")


# -- ExLlama and Transformers ----------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "quantization"),
    [("exllamav3", "exl3-4.0bpw"), ("exllamav2", "exl2-4.0bpw"), ("transformers", "bf16")],
)
def test_every_engine_cuts_the_context_and_looks_at_free_memory(engine: str, quantization: str) -> None:
    cut = answer(engine, H100, "phi-4", quantization, context=65536)
    assert "engines.context_cut" in codes(cut)
    assert all(
        reason.values["context"] == 16384
        for reason in cut.reasons
        if reason.code == "engines.transformers.whole_prompt"
    )
    for free_bytes, now in ((60 * GIB, True), (3 * GIB, False), (None, None)):
        found = answer(engine, H100, "llama-3.1-8b", quantization, free_bytes=free_bytes)
        assert (found.fits, found.fits_now) == (True, now)


@pytest.mark.parametrize(("engine", "quantization"), [("exllamav3", "exl3-4.0bpw"), ("transformers", "bf16")])
def test_weights_that_fit_nowhere_are_refused_though_the_cache_is_unknown(
    engine: str, quantization: str
) -> None:
    """DeepSeek-V4-Flash has 284 billion weights; neither 24 GB nor 64 GB of RAM hold them."""
    small = answer(engine, ONE, "deepseek-v4-flash", quantization)
    assert (small.fits, small.verdict) == (False, Verdict.NO)
    assert "engines.cache_unknown" not in codes(small)
    large = answer(engine, EIGHT, "deepseek-v4-flash", quantization)
    assert (large.fits, large.verdict) == (None, Verdict.UNKNOWN)
    assert "engines.cache_unknown" in codes(large)


@pytest.mark.parametrize("engine", ["exllamav3", "exllamav2"])
def test_exllama_tells_a_cache_too_large_from_weights_too_large(engine: str) -> None:
    form = {"exllamav3": "exl3-4.0bpw", "exllamav2": "exl2-4.0bpw"}[engine]
    cache = answer(engine, ONE, "qwen3-32b", form, context=40960, parallel=8)
    weights = answer(engine, ONE, "llama-3.3-70b", form)
    assert "engines.exllama.cache_short" in codes(cache)
    assert "engines.exllama.weights_short" in codes(weights)
    assert (cache.fits, weights.fits, weights.max_context) == (False, False, 0)
    assert cache.max_context


def test_exllama_keeps_states_beside_the_cache() -> None:
    """Qwen3-Next: 12 of 48 layers have keys and values of 2 heads of 256."""
    found = answer("exllamav3", H100, "qwen3-next-80b-a3b", "exl3-4.0bpw")
    device = found.memory.per_device[0]
    assert device.kv_cache_bytes == 12 * 2 * 2 * 256 * 2 * 8192
    assert device.recurrent_state_bytes


@pytest.mark.parametrize(
    ("quantization", "words"),
    [
        ("bnb-int8", "BitsAndBytesConfig(load_in_8bit=True)"),
        ("bnb-nf4", "BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4')"),
        ("bnb-nf4-double", "bnb_4bit_use_double_quant=True)"),
    ],
)
def test_transformers_is_told_how_to_quantize(quantization: str, words: str) -> None:
    found = answer("transformers", H100, "llama-3.1-8b", quantization)
    assert words in (found.command or "")


def test_eight_bits_may_take_more_than_computed() -> None:
    """LLM.int8 may keep a twentieth of the weights beside them: only the upper end knows."""
    wide, narrow = (answer("transformers", H100, "llama-3.1-8b", form) for form in ("bnb-int8", "bnb-nf4"))
    assert wide.memory_range is not None
    assert narrow.memory_range is not None
    above = [one.high - one.value for one in (wide.memory_range, narrow.memory_range)]
    assert above[0] > above[1] + GIB // 4


def test_unequal_cards_hold_unequal_parts_where_the_small_one_must() -> None:
    """27 GiB on 24 and 12 GiB: in proportion, two thirds and one third."""
    pair = "RTX 4090; RTX 3060 12GB; 16GB DDR5-5600 x2; ubuntu 24.04"
    found = answer("transformers", pair, "phi-4", "bf16", context=4096)
    assert found.placement.devices == ("gpu0", "gpu1")
    large, small = (device.weights_bytes for device in found.memory.per_device)
    assert large / small == pytest.approx(2, rel=0.01)


def test_without_known_ram_transformers_says_what_it_needs() -> None:
    found = answer("transformers", "Core i5-8500; windows 11", "qwen3-1.7b", "bf16")
    assert (found.fits, found.verdict, found.max_context) == (None, Verdict.UNKNOWN, None)
    needed = next(reason for reason in found.reasons if reason.code == "verdict.no_memory_known")
    assert needed.values["need_bytes"] == found.memory.total_bytes
