"""Checkpoint formats against counts of scales and sizes that published checkpoints have."""

import pytest

from probe.catalog.model_spec import Dimensions, ModelSpec, StoredTensor
from probe.catalog.models import all_models, find_model
from probe.errors import UnknownNameError
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weights import checkpoint_weights, stored_weights
from probe.units import GB, GIB

MODELS = {model.id: model for model in all_models()}


def test_fp8_blocks_have_as_many_scales_as_the_checkpoint_stores() -> None:
    """DeepSeek-V3.2-Exp stores 685,396,921,376 elements, 685,355,329,792 of them weights."""
    spec = MODELS["deepseek-ai/DeepSeek-V3.2-Exp"]
    blocks, bare = checkpoint_weights(spec, "fp8-block"), checkpoint_weights(spec, "exl2-8.0bpw")
    scale_bytes = sum(blocks.layers) + blocks.mtp_bytes - sum(bare.layers) - bare.mtp_bytes
    assert scale_bytes == 4 * (685_396_921_376 - 685_355_329_792)


# Sizes of published checkpoints: model card or file listing, in GB (10^9) or GiB as stated there.
@pytest.mark.parametrize(
    ("model", "format_name", "size_bytes", "tolerance"),
    [
        ("openai/gpt-oss-20b", "mxfp4", 12.8 * GIB, 0.005),  # model card: "checkpoint size 12.8 GiB"
        ("LGAI-EXAONE/EXAONE-4.0-1.2B", "bf16", 2.38 * GIB, 0.002),  # measured after loading on a T4
        ("meta-llama/Llama-3.1-8B-Instruct", "awq", 5.73 * GB, 0.003),
        ("Qwen/Qwen3-8B", "mlx-4bit", 4.61 * GB, 0.002),
    ],
)
def test_checkpoints_have_their_published_size(
    model: str, format_name: str, size_bytes: float, tolerance: float
) -> None:
    assert checkpoint_weights(MODELS[model], format_name).file_bytes == pytest.approx(
        size_bytes, rel=tolerance
    )


@pytest.mark.parametrize(
    "model", ["Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-V2-Lite-Chat", "LiquidAI/LFM2-8B-A1B"]
)
def test_sixteen_bits_are_two_bytes_a_weight(model: str) -> None:
    spec = MODELS[model]
    assert checkpoint_weights(spec, "bf16").file_bytes == 2 * (spec.params_text or 0)
    assert checkpoint_weights(spec, "fp32").file_bytes == 4 * (spec.params_text or 0)


def test_awq_leaves_table_head_and_norms_at_sixteen_bits() -> None:
    spec = MODELS["Qwen/Qwen3-8B"]
    plain, quantized = checkpoint_weights(spec, "bf16"), checkpoint_weights(spec, "awq")
    assert quantized.token_embedding_bytes == plain.token_embedding_bytes
    assert quantized.output_bytes == plain.output_bytes
    linears = 36 * (4096 * 4096 * 2 + 4096 * 1024 * 2 + 3 * 4096 * 12288)
    norms = 2 * 36 * (2 * 4096 + 2 * 128)
    assert sum(quantized.layers) == linears // 2 + linears // 128 * 5 // 2 + norms


def test_mxfp4_touches_the_experts_alone() -> None:
    spec = MODELS["openai/gpt-oss-20b"]
    plain, quantized = checkpoint_weights(spec, "bf16"), checkpoint_weights(spec, "mxfp4")
    kept = [total - experts for total, experts in zip(plain.layers, plain.layer_experts, strict=True)]
    assert kept == [a - b for a, b in zip(quantized.layers, quantized.layer_experts, strict=True)]


@pytest.mark.parametrize(("family", "tolerance"), [("exl2", 0.001), ("exl3", 0.003)])
def test_exl_formats_take_the_bits_of_their_name(family: str, tolerance: float) -> None:
    """EXL3 adds two 16-bit vectors a matrix, about 0.3 % at three bits."""
    spec = MODELS["Qwen/Qwen3-8B"]
    narrow, wide = (checkpoint_weights(spec, f"{family}-{bits}bpw") for bits in ("3.0", "6.0"))
    assert sum(wide.layers) / sum(narrow.layers) == pytest.approx(2, rel=tolerance)


def test_exl3_stores_trellis_vectors_and_a_head_of_its_own() -> None:
    """One layer and the head of Qwen3-0.6B, whose head is tied: exllamav3 modules/quant/exl3.py."""
    weights = checkpoint_weights(MODELS["Qwen/Qwen3-0.6B"], "exl3-4.0bpw")
    matrices = (
        (2048, 1024),
        (1024, 1024),
        (1024, 1024),
        (1024, 2048),
        (3072, 1024),
        (3072, 1024),
        (1024, 3072),
    )
    norms = 2 * (2 * 1024 + 2 * 128)
    layer = sum(rows * columns // 2 + 2 * (rows + columns) + 4 for rows, columns in matrices) + norms
    assert set(weights.layers) == {layer}
    assert not weights.output_is_tied
    vocabulary = -(-151_936 // 128) * 128
    assert weights.output_bytes == vocabulary * 1024 * 6 // 8 + 2 * (vocabulary + 1024) + 4 + 2 * 1024


def test_a_model_known_by_its_count_alone_is_marked_inexact() -> None:
    spec = ModelSpec(id="x", name="x", params_text=7_000_000_000)
    weights = checkpoint_weights(spec, "bf16")
    assert not weights.exact
    assert weights.file_bytes == 14_000_000_000


def test_nothing_known_is_no_number() -> None:
    with pytest.raises(NotModeledError):
        checkpoint_weights(ModelSpec(id="x", name="x"), "bf16")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        checkpoint_weights(MODELS["Qwen/Qwen3-8B"], "int3.7")


def test_stored_tensors_are_sorted_by_their_names() -> None:
    def tensor(name: str, size: int) -> StoredTensor:
        return StoredTensor(name=name, shape=(size // 2,), type="BF16", size_bytes=size)

    spec = ModelSpec(
        id="x",
        name="x",
        origin="safetensors",
        file_quantization="bf16",
        dimensions=Dimensions(
            hidden_size=8, num_hidden_layers=2, vocab_size=10, num_experts=4, experts_per_token=1
        ),
        stored_tensors=(
            tensor("model.language_model.embed_tokens.weight", 160),
            tensor("model.language_model.layers.0.self_attn.q_proj.weight", 100),
            tensor("model.language_model.layers.1.mlp.experts.3.up_proj.weight", 400),
            tensor("model.language_model.layers.2.mlp.gate.weight", 50),
            tensor("model.visual.blocks.0.attn.qkv.weight", 60),
            tensor("mtp.fc.weight", 30),
            tensor("model.language_model.norm.weight", 16),
            tensor("lm_head.weight", 160),
        ),
    )
    weights = stored_weights(spec)
    assert weights.layers == (100, 400)
    assert weights.layer_active == (100, 100)
    assert weights.token_embedding_bytes == 160
    assert weights.output_bytes == 160 + 16
    assert weights.vision_bytes == 60
    assert weights.mtp_bytes == 50 + 30
    assert weights.file_bytes == 976


def test_a_copy_of_the_tied_table_is_not_loaded() -> None:
    spec = ModelSpec(
        id="x",
        name="x",
        origin="safetensors",
        dimensions=Dimensions(hidden_size=8, num_hidden_layers=1, vocab_size=10, tie_word_embeddings=True),
        stored_tensors=(
            StoredTensor(name="model.embed_tokens.weight", shape=(10, 8), type="BF16", size_bytes=160),
            StoredTensor(name="lm_head.weight", shape=(10, 8), type="BF16", size_bytes=160),
            StoredTensor(name="model.norm.weight", shape=(8,), type="BF16", size_bytes=16),
        ),
    )
    weights = stored_weights(spec)
    assert weights.output_is_tied
    assert weights.output_bytes == 16
    assert weights.file_bytes == 336


def test_published_int4_experts_weigh_what_the_model_card_says() -> None:
    """Kimi K2.6: about 555 GiB (model card of gratex/Kimi-K2.6-REAM-25); DeepSeek V4 Flash: FP4 and FP8."""
    kimi = find_model("kimi-k2.6")
    assert kimi.native_quantization is not None
    assert checkpoint_weights(kimi, kimi.native_quantization).file_bytes / GIB == pytest.approx(555, rel=0.01)
    flash = find_model("deepseek-v4-flash")
    fp8 = checkpoint_weights(flash, "fp8").file_bytes
    assert 0.5 < checkpoint_weights(flash, "mxfp4-fp8").file_bytes / fp8 < 0.6


@pytest.mark.parametrize("name", ["gemma-4-26b-a4b", "nemotron-3-nano-30b-a3b", "falcon-7b", "gpt-oss-20b"])
def test_integer_formats_take_smaller_groups_where_128_does_not_divide(name: str) -> None:
    """Experts of 704, 1,856 and 2,880 inputs, rows of 4,544: published with groups of 32 or 64."""
    spec = find_model(name)
    assert checkpoint_weights(spec, "awq").file_bytes < 0.7 * checkpoint_weights(spec, "fp8").file_bytes
