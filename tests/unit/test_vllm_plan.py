"""vLLM's KV plan: equal to what vLLM 0.32.0's own planner answered, and to what its authors print."""

import csv
import gzip
import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.engines.vllm_plan import KvPlan, PlanRequest, longest_length, need_bytes, plan
from probe.engines.vllm_platform import GpuClass
from probe.model_files.hf_config import spec_from_config
from probe.units import GIB, MIB

TRUTH = Path(__file__).parent.parent / "truth"
sys.path.insert(0, str(TRUTH.parent.parent / "scripts"))

import score_vllm  # noqa: E402  # the scorer is the product's own; the path is set above

RTX_4090 = GpuClass(capability=(8, 9), memory_bytes=24 * GIB)
H100 = GpuClass(capability=(9, 0), memory_bytes=80 * GIB, name="nvidia h100 80gb hbm3")
T4 = GpuClass(capability=(7, 5), memory_bytes=15 * GIB, name="tesla t4")
RTX_3090 = GpuClass(capability=(8, 6), memory_bytes=24 * GIB)


@lru_cache(maxsize=1)
def rows() -> list[dict[str, str]]:
    with gzip.open(TRUTH / "vllm_kv.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@lru_cache(maxsize=1)
def configs() -> dict[str, dict[str, Any]]:
    with (TRUTH / "vllm_models.jsonl").open(encoding="utf-8") as lines:
        return {row["model_id"]: row["config"] for row in map(json.loads, lines)}


def of(config: dict[str, Any], *, length: int, gpu: GpuClass = RTX_4090, **request: Any) -> KvPlan:
    return plan(spec_from_config(config, model_id="m"), PlanRequest(max_model_len=length, gpu=gpu, **request))


def test_every_measured_plan_is_equal() -> None:
    """11,178 plans of 61 models made by vLLM 0.32.0's planner with its real model classes."""
    models = score_vllm.read_models(TRUTH / "vllm_models.jsonl")
    result = score_vllm.score(rows(), models)
    assert result["mismatches"] == []
    assert (result["rows"], result["equal"]) == (11_178, 11_178)


def test_plans_of_made_up_configs_are_equal() -> None:
    """962 plans of 200 configs of 115 model types, made by scripts/plan_with_vllm.py."""
    made = score_vllm.read_rows(TRUTH / "vllm_kv_made.csv.gz")
    models = score_vllm.read_models(TRUTH / "vllm_models_made.jsonl.gz")
    result = score_vllm.score(made, models)
    assert result["mismatches"] == []
    assert (result["rows"], len(models)) == (962, 200)


@pytest.mark.parametrize("column", ["dtype", "max_num_batched_tokens", "prefix_caching", "mamba_cache_mode"])
def test_what_the_plan_rests_on_is_what_vllm_decided(column: str) -> None:
    models = score_vllm.read_models(TRUTH / "vllm_models.jsonl")
    sample = [row for row in rows()[::7] if row["fits"] != "rejected"]
    wrong = [
        row["model_id"]
        for row in sample
        if row[column]
        and score_vllm.columns(plan(models[row["model_id"]], score_vllm.request_of(row)))[column]
        != row[column]
    ]
    assert wrong == []


# Published shapes of models that are not in the measured file; the expected figures are those of
# vLLM's planner on other configs of the same run, and of published start-up logs.
QWEN3_NEXT = {
    "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next", "torch_dtype": "bfloat16",
    "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 2,
    "head_dim": 256, "vocab_size": 151936, "intermediate_size": 5120, "max_position_embeddings": 262144,
    "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "full_attention_interval": 4,
    "num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512,
}  # fmt: skip
GEMMA_3_12B = {
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "bfloat16",
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 3840, "intermediate_size": 15360,
        "num_attention_heads": 16, "num_hidden_layers": 48, "num_key_value_heads": 8, "sliding_window": 1024,
    },
    "vision_config": {"model_type": "siglip_vision_model"},
}  # fmt: skip
LLAMA_4_SCOUT_TEXT = {
    "model_type": "llama4_text", "hidden_size": 5120, "num_hidden_layers": 48, "num_attention_heads": 40,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 8192, "vocab_size": 202048,
    "attention_chunk_size": 8192, "max_position_embeddings": 10485760,
}  # fmt: skip
LLAMA_4_SCOUT = {
    "architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4", "torch_dtype": "bfloat16",
    "text_config": LLAMA_4_SCOUT_TEXT, "vision_config": {"model_type": "llama4_vision_model"},
}  # fmt: skip
MIMO_V2_FLASH = {
    "architectures": ["MiMoV2FlashForCausalLM"], "model_type": "mimo_v2_flash", "torch_dtype": "bfloat16",
    "hidden_size": 4096, "num_hidden_layers": 48, "num_attention_heads": 64, "num_key_value_heads": 4,
    "head_dim": 192, "v_head_dim": 128, "swa_num_attention_heads": 64, "swa_num_key_value_heads": 8,
    "swa_head_dim": 192, "swa_v_head_dim": 128, "sliding_window": 128, "sliding_window_size": 128,
    "attention_chunk_size": 128, "vocab_size": 152576, "intermediate_size": 16384,
    "max_position_embeddings": 262144,
    "hybrid_layer_pattern": [0, 1, 1, 1, 1, 0, *[1, 1, 1, 1, 1, 0] * 7],
}  # fmt: skip
NEMOTRON_H_56B = {
    "architectures": ["NemotronHForCausalLM"], "model_type": "nemotron_h", "torch_dtype": "bfloat16",
    "hidden_size": 8192, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 131072, "intermediate_size": 32768, "max_position_embeddings": 8192,
    "hybrid_override_pattern": "M-M-M-M*-" + "M-M-M-M-M*-" * 9 + "M-M-M-M-M-",
    "mamba_num_heads": 256, "mamba_head_dim": 64, "n_groups": 8, "ssm_state_size": 256, "conv_kernel": 4,
}  # fmt: skip
PHI_4 = {
    "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "torch_dtype": "bfloat16",
    "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 10,
    "vocab_size": 100352,
    "intermediate_size": 17920, "max_position_embeddings": 16384, "sliding_window": None,
}  # fmt: skip
FALCON_7B = {
    "architectures": ["FalconForCausalLM"], "model_type": "falcon", "torch_dtype": "bfloat16",
    "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71, "multi_query": True,
    "vocab_size": 65024, "max_position_embeddings": 2048,
}  # fmt: skip
DEEPSEEK_V3 = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "torch_dtype": "bfloat16",
    "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
    "v_head_dim": 128, "vocab_size": 129280, "intermediate_size": 18432, "max_position_embeddings": 163840,
}  # fmt: skip


def test_prefix_caching_makes_a_hybrid_keep_two_states() -> None:
    """Qwen3-Next at 131,072 tokens: 247 blocks of 544 tokens, 3.075 GiB, in vLLM's default mode."""
    made = of(QWEN3_NEXT, length=131_072)
    assert (made.cache_mode, made.block_size, made.bytes_per_block) == ("align", 544, 13_369_344)
    assert made.blocks_one_request == 247
    without = of(QWEN3_NEXT, length=131_072, prefix_caching=False)
    assert (without.cache_mode, without.blocks_one_request) == ("none", 244)


@pytest.mark.parametrize(
    ("config", "small_gib", "large_gib"),
    [(GEMMA_3_12B, 9.57, 13.32), (LLAMA_4_SCOUT, 7.69, 9.38), (MIMO_V2_FLASH, 3.72, 6.36)],
)
def test_the_same_model_needs_more_on_a_bigger_gpu(
    config: dict[str, Any], small_gib: float, large_gib: float
) -> None:
    """Windows hold the tokens in flight, and the 70 GiB tier batches four times as many."""
    small, large = of(config, length=131_072), of(config, length=131_072, gpu=H100)
    assert round((small.need_bytes_one_request or 0) / GIB, 2) == small_gib
    assert round((large.need_bytes_one_request or 0) / GIB, 2) == large_gib


def test_a_huge_state_makes_blocks_coarse() -> None:
    """Nemotron-H-56B: blocks of 4,128 tokens and 161 MiB, so 8 GiB are 50 blocks."""
    made = of(NEMOTRON_H_56B, length=8_192, available_bytes=8 * GIB)
    assert (made.block_size, made.num_blocks) == (4_128, 50)
    assert round((made.bytes_per_block or 0) / MIB) == 161


def test_smaller_pages_take_more_tokens_where_that_divides() -> None:
    """MiMo-V2-Flash: sliding layers have twice the heads, so full layers take 32 tokens a block."""
    layout = of(MIMO_V2_FLASH, length=8_192).layout
    assert layout is not None
    assert {
        page.block_tokens for group in layout.groups for page, _ in group.pages if page.layer.kind == "full"
    } == {32}


@pytest.mark.parametrize(
    ("config", "request_", "kind"),
    [
        (PHI_4, {"tp": 4}, "kv_heads"),
        (PHI_4, {"tp": 8}, "kv_heads"),
        (FALCON_7B, {"tp": 2, "length": 2_048}, "heads"),
        (PHI_4, {"length": 20_000}, "max_model_len"),
        (DEEPSEEK_V3, {"kv_dtype": "fp8", "gpu": RTX_3090}, "fp8_unsupported"),
        (GEMMA_3_12B, {"kv_dtype": "fp8", "gpu": RTX_3090}, "fp8_unsupported"),
        (PHI_4, {"kv_dtype": "fp8", "gpu": T4}, "fp8_unsupported"),
        (DEEPSEEK_V3 | {"model_type": "deepseek_v32", "architectures": ["DeepseekV32ForCausalLM"],
                        "index_topk": 2048, "index_head_dim": 128, "index_n_heads": 64}, {}, "no_backend"),
        (PHI_4 | {"quantization_config": {"quant_method": "mxfp4"}}, {"gpu": T4}, "quant_unsupported"),
        (PHI_4 | {"architectures": ["NobodyKnowsForCausalLM"], "model_type": "nobody_knows"}, {},
         "unsupported_architecture"),
        (PHI_4 | {"architectures": ["MiniMaxText01ForCausalLM"], "model_type": "minimax_text_01"}, {},
         "unsupported_architecture"),
    ],
)  # fmt: skip
def test_vllm_refuses_before_planning(config: dict[str, Any], request_: dict[str, Any], kind: str) -> None:
    made = of(config, **{"length": 4_096, **request_})
    assert made.fits is False
    assert made.rejection is not None
    assert made.rejection.kind == kind


@pytest.mark.parametrize(
    ("config", "request_"),
    [
        (PHI_4, {"tp": 2}),
        (PHI_4, {"tp": 5}),
        (PHI_4, {"kv_dtype": "fp8"}),
        (PHI_4, {"kv_dtype": "fp8", "gpu": RTX_3090}),
        (DEEPSEEK_V3, {"tp": 8}),
        (FALCON_7B, {"length": 2_048, "kv_dtype": "fp8", "gpu": T4}),
    ],
)
def test_vllm_plans_what_looks_like_its_refusals(config: dict[str, Any], request_: dict[str, Any]) -> None:
    """Beside every refusal stands a close relative that vLLM accepts."""
    made = of(config, **{"length": 4_096, **request_})
    assert made.rejection is None


def test_falcon_7b_ignores_the_fp8_cache() -> None:
    """Its class does not hand the cache settings to its attention layers (falcon.py#L173)."""
    plain, asked = of(FALCON_7B, length=2_048), of(FALCON_7B, length=2_048, kv_dtype="fp8")
    assert plain.bytes_per_block == asked.bytes_per_block


def test_a_request_fits_only_below_memory_minus_one_block() -> None:
    """vLLM keeps one block back: Llama-3.1-8B with exactly its need does not start."""
    config = configs()["meta-llama/Llama-3.1-8B-Instruct"]
    need = of(config, length=8_192).need_bytes_one_request or 0
    exact = of(config, length=8_192, available_bytes=need)
    assert (exact.fits, exact.estimated_max_len) == (False, 8_176)
    assert of(config, length=8_192, available_bytes=need + 2_097_152).fits is True


def test_longest_length_is_the_last_that_fits() -> None:
    made = of(QWEN3_NEXT, length=8_192)
    longest = longest_length(made, 2 * GIB, 262_144)
    block = made.bytes_per_block or 0
    assert need_bytes(made, longest) + block <= 2 * GIB < need_bytes(made, longest + 1) + block


@pytest.mark.parametrize("model_id", sorted(configs()))
def test_a_catalog_row_without_its_config_plans_the_same(model_id: str) -> None:
    """Dimensions alone carry what the planner needs; only the raw file is taken away."""
    spec = spec_from_config(configs()[model_id], model_id=model_id)
    request = PlanRequest(max_model_len=4_096, gpu=RTX_4090, available_bytes=24 * GIB)
    with_file, without = plan(spec, request), plan(bare(spec), request)
    assert (without.rejection and without.rejection.kind) == (
        with_file.rejection and with_file.rejection.kind
    )
    assert without.bytes_per_block == with_file.bytes_per_block
    assert without.blocks_one_request == with_file.blocks_one_request


def bare(spec: ModelSpec) -> ModelSpec:
    """The spec as the catalog keeps it: no file, no class name."""
    import msgspec

    return msgspec.structs.replace(spec, hf_config=None, hf_architecture=None, origin="catalog")


def test_a_layout_nobody_read_is_unknown_not_guessed() -> None:
    """DeepSeek-V4 compresses its cache by layer; this planner does not know how."""
    spec = ModelSpec(
        id="x",
        name="x",
        model_type="deepseek_v4",
        dimensions=Dimensions(
            hidden_size=4096, num_hidden_layers=43, vocab_size=129_280, num_attention_heads=64
        ),
    )
    assert plan(spec, PlanRequest(max_model_len=4_096, gpu=H100)).fits is None
