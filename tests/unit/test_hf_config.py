"""A config.json becomes shapes, or one sentence that says what is wrong with it."""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.catalog.model_spec import Dimensions
from probe.errors import InputError
from probe.messages import t
from probe.model_files.hf_config import spec_from_config

TRUTH = Path(__file__).parent.parent / "truth"
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


def dims(config: dict[str, Any]) -> Dimensions:
    found = spec_from_config(config, model_id="m").dimensions
    assert found is not None
    return found


def test_gemma_3_on_the_hub_leaves_out_what_transformers_knows() -> None:
    """google/gemma-3-4b-it's config.json as published names six sizes; the rest are class defaults."""
    published = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "torch_dtype": "bfloat16",
        "text_config": {
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "model_type": "gemma3_text",
            "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "sliding_window": 1024,
        },
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model", "num_hidden_layers": 27},
    }
    spec = spec_from_config(published, model_id="google/gemma-3-4b-it")
    d = spec.dimensions
    assert d is not None
    assert (d.num_attention_heads, d.num_key_value_heads, d.head_dim, d.vocab_size) == (8, 4, 256, 262_208)
    assert d.layer_pattern == "SSSSSF" * 5 + "SSSS"
    assert d.tie_word_embeddings
    assert (spec.max_context, spec.modality, spec.name) == (131_072, "vision", "gemma-3-4b-it")


@pytest.mark.parametrize(
    ("change", "window", "pattern"),
    [
        # missing means the class default, null means none: Mistral's class says 4,096
        ({"model_type": "mistral"}, 4_096, "S" * 32),
        ({"model_type": "mistral", "sliding_window": None}, None, None),
        ({"model_type": "qwen2", "sliding_window": 4_096, "use_sliding_window": False}, None, None),
        ({"model_type": "phi3", "sliding_window": 2_047}, 2_047, "S" * 32),
        (
            {"model_type": "exaone4", "sliding_window": 4_096, "sliding_window_pattern": "LLLG"},
            4_096,
            "SSSF" * 8,
        ),
        ({"model_type": "exaone4", "sliding_window": None}, None, None),
        ({"model_type": "llama", "layer_types": ["sliding_attention"] * 32}, None, None),
    ],
)
def test_windows_are_read_as_transformers_reads_them(
    change: dict[str, Any], window: int | None, pattern: str | None
) -> None:
    d = dims(LLAMA | change)
    assert (d.sliding_window, d.layer_pattern) == (window, pattern)


@pytest.mark.parametrize(
    ("quantization", "name"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq-int4"),
        ({"quant_method": "gptq", "bits": 8}, "gptq-int8"),
        ({"quant_method": "gptq", "bits": 3}, None),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bnb-nf4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        (
            {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}},
            "fp8",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}},
            },
            "w4a16",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "nvfp4-pack-quantized",
                "config_groups": {
                    "group_0": {"weights": {"num_bits": 4}, "input_activations": {"num_bits": 4}}
                },
            },
            "nvfp4",
        ),
        ({"quant_method": "something_of_tomorrow"}, None),
    ],
)
def test_checkpoint_formats_have_our_names(quantization: dict[str, Any], name: str | None) -> None:
    assert (
        spec_from_config(LLAMA | {"quantization_config": quantization}, model_id="m").native_quantization
        == name
    )


def test_rope_scaling_lengthens_the_context_only_where_the_factor_is_not_yet_in_it() -> None:
    linear = LLAMA | {
        "max_position_embeddings": 8_192,
        "rope_scaling": {"rope_type": "linear", "factor": 4.0},
    }
    yarn = LLAMA | {"max_position_embeddings": 8_192, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    assert spec_from_config(linear, model_id="m").max_context == 32_768
    assert spec_from_config(yarn, model_id="m").max_context == 8_192


def test_minimax_m3_names_its_dense_width_and_its_indexer_elsewhere() -> None:
    """MiniMaxAI/MiniMax-M3: `intermediate_size` is an expert's, the first three layers are wider."""
    config = {
        "architectures": ["MiniMaxM3ForCausalLM"], "model_type": "minimax_m3", "hidden_size": 6144,
        "intermediate_size": 3072, "dense_intermediate_size": 12288, "moe_intermediate_size": 3072,
        "num_hidden_layers": 60, "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128,
        "vocab_size": 200064, "first_k_dense_replace": 3, "num_local_experts": 128, "num_experts_per_tok": 4,
        "n_shared_experts": 1, "moe_layer_freq": [0] * 3 + [1] * 57, "tie_word_embeddings": False,
        "sparse_attention_config": {
            "sparse_index_dim": 128, "sparse_num_index_heads": 4, "sparse_topk_blocks": 16,
            "sparse_block_size": 128,
        },
    }  # fmt: skip
    d = spec_from_config(config, model_id="x/m3").dimensions
    assert d is not None
    assert (d.intermediate_size, d.moe_intermediate_size, d.qk_norm) == (12288, 3072, "head")
    assert (d.index_n_heads, d.index_head_dim, d.index_topk) == (4, 128, 16)
    assert d.extra["index_block_size"] == 128


def test_an_unknown_type_with_plain_shapes_still_has_dimensions() -> None:
    d = dims(LLAMA | {"model_type": "somebody_elses_llama", "architectures": ["SomebodyForCausalLM"]})
    assert (d.hidden_size, d.num_key_value_heads, d.head_dim) == (4_096, 8, 128)


def test_an_unknown_type_without_shapes_has_none() -> None:
    assert spec_from_config({"model_type": "riddle", "size": "large"}, model_id="m").dimensions is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", -1),
        ("hidden_size", 10**18),
        ("hidden_size", "4096"),
        ("hidden_size", [4096]),
        ("num_hidden_layers", 10**7),
        ("num_hidden_layers", math.nan),
        ("num_attention_heads", math.inf),
        ("vocab_size", 2**63),
        ("vocab_size", True),
        ("intermediate_size", 0.5),
        ("max_position_embeddings", -4),
        ("layer_types", ["full_attention"] * 100_000),
        ("layer_types", [1, 2, 3]),
    ],
)
def test_lies_are_refused_with_the_field_and_the_model(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        spec_from_config(LLAMA | {field: value}, model_id="org/liar")
    for lang in ("en", "ko"):
        sentence = t(caught.value.key, lang, **caught.value.facts)
        assert field in sentence
        assert "org/liar" in sentence


@pytest.mark.parametrize("depth", [40, 5_000])
def test_nesting_without_end_is_refused(depth: int) -> None:
    config: dict[str, Any] = {}
    for _ in range(depth):
        config = {"text_config": config}
    with pytest.raises(InputError):
        spec_from_config(config, model_id="m")


@pytest.mark.parametrize("document", [None, [], "config", 7])
def test_only_objects_are_configs(document: Any) -> None:
    with pytest.raises(InputError):
        spec_from_config(document, model_id="m")


@lru_cache(maxsize=1)
def published_configs() -> list[dict[str, Any]]:
    with (TRUTH / "vllm_models.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line)["config"] for line in lines]


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300)
@given(data=st.data())
def test_any_damage_gives_shapes_or_one_error(data: st.DataObject) -> None:
    """Real configs with one to three fields replaced by anything JSON can hold."""
    config = dict(data.draw(st.sampled_from(published_configs())))
    target = config
    if isinstance(config.get("text_config"), dict) and data.draw(st.booleans()):
        target = dict(config["text_config"])
        config["text_config"] = target
    for key in data.draw(st.lists(st.sampled_from(sorted(target)), min_size=1, max_size=3)):
        target[key] = data.draw(_JUNK)
    try:
        spec = spec_from_config(config, model_id="m")
    except InputError:
        return
    assert spec.dimensions is None or spec.dimensions.num_hidden_layers >= 1
