"""Shapes of a model from its config.json, whatever names its family uses for them."""

from typing import Any, Final

from probe.catalog.model_spec import Dimensions
from probe.model_files.config_view import HEADS, HIDDEN, LAYERS, ConfigView
from probe.model_files.hf_blocks import block_heads, block_widths
from probe.model_files.hf_experts import expert_fields
from probe.model_files.hf_layers import effective_window, layer_pattern
from probe.model_files.hf_states import state_fields

_KV_HEADS: Final = (
    "num_key_value_heads",
    "n_head_kv",
    "num_kv_heads",
    "multi_query_group_num",
    "num_attention_groups",
)
_FEED_FORWARD: Final = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "block_ff_dim")

# bias of the attention projections where the config does not say; sources: modeling files of transformers
_BIAS_ALWAYS: Final = {
    "qwen2": "qkv",
    "qwen2_moe": "qkv",
    "qwen2_vl": "qkv",
    "qwen2_vl_text": "qkv",
    "qwen2_5_vl": "qkv",
    "qwen2_5_vl_text": "qkv",
    "mimo": "qkv",
    "phi": "qkvo",
    "gpt_oss": "qkvo",
    "gpt2": "qkvo",
    "opt": "qkvo",
    "bloom": "qkvo",
}
_BIAS_WITHOUT_OUTPUT: Final = (
    "glm4",
    "glm4_moe",
    "glm4v",
    "glm4v_moe",
    "seed_oss",
    "qwen3",
    "qwen3_moe",
    "chatglm",
)
_QK_NORM_HEAD: Final = (
    "qwen3", "qwen3_moe", "qwen3_vl", "qwen3_vl_text", "qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_next",
    "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "gemma3", "gemma3_text", "gemma3n",
    "gemma3n_text", "gemma4", "gemma4_text", "gemma4_unified_text", "exaone4", "exaone_moe",
    "hunyuan_v1_dense", "hunyuan_v1_moe", "lfm2", "lfm2_moe", "apertus", "dots1", "afmoe", "step3p5",
    "bailing_moe", "interns1", "minimax_m3", "minimax_m3_text", "minimax_m3_vl_text",
)  # fmt: skip
_QK_NORM_LAYER: Final = ("olmo2", "olmo3", "olmoe", "minimax_m2")
_GRANITE: Final = ("granite", "granite_swa", "granitemoe", "granitemoe_swa")
_UNGATED: Final = (
    "gpt2", "opt", "bloom", "phi", "falcon", "starcoder2", "nemotron", "nemotron_h", "gpt_neox", "gptj",
    "mpt", "apertus", "arcee",
)  # fmt: skip
_KEPT: Final = (
    "use_double_wide_mlp", "num_hash_layers", "hc_mult", "mamba_rms_norm", "new_decoder_architecture",
    "partial_rotary_factor", "scoring_func", "swa_head_dim", "swa_v_head_dim", "swa_num_attention_heads",
    "index_topk_freq", "index_skip_topk_offset", "index_topk_pattern", "index_kpool", "mamba_ssm_cache_dtype",
    "mamba_ssm_dtype", "use_bidirectional_attention", "attn_logit_softcapping", "conv_dim", "o_groups",
    "o_lora_rank", "original_max_position_embeddings",
)  # fmt: skip


def dimensions_of(view: ConfigView) -> Dimensions | None:
    """Dimensions of the language model that `view` describes; None where they are ambiguous.

    Raises:
        InputError: a figure that no model has.
    """
    model_type = view.model_type or ""
    by_pattern = _pattern_length(view)
    if not (view.size(*HIDDEN) and view.size("vocab_size") and (by_pattern or view.size(*LAYERS))):
        return None
    layers = by_pattern or view.layers(*LAYERS)
    hidden = view.need(*HIDDEN)
    pattern = layer_pattern(view, layers)
    heads = _heads(view)
    if heads == 0 and not (pattern and set(pattern) <= set("MLC-E")):
        return None
    kv_heads = _kv_heads(view, heads)
    return Dimensions(
        hidden_size=hidden,
        num_hidden_layers=layers,
        vocab_size=view.need("vocab_size"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=_head_dim(view, hidden, heads),
        intermediate_size=_feed_forward(view, hidden),
        mlp_gated=model_type not in _UNGATED,
        tie_word_embeddings=view.flag("tie_word_embeddings", default=True),
        layer_pattern=pattern,
        sliding_window=effective_window(view) if pattern and "S" in pattern else None,
        attention_chunk_size=view.size("attention_chunk_size") if pattern and "S" in pattern else None,
        attention_bias=_attention_bias(view),
        qk_norm=_qk_norm(view),
        attn_output_gate=view.flag(
            "attn_output_gate", default=model_type.startswith(("qwen3_next", "qwen3_5"))
        ),
        attention_sinks=_attention_sinks(view, model_type),
        extra=_extra(view),
        **_attention_fields(view),
        **expert_fields(view),
        **state_fields(view, hidden),
        **_table_fields(view),
    )


def _pattern_length(view: ConfigView) -> int | None:
    """Nemotron-H counts its layers by its pattern."""
    written = view.text("hybrid_override_pattern")
    if written is not None:
        return view.layers("num_hidden_layers") if not written else len(written)
    words = view.texts("layers_block_type") if view.model_type == "nemotron_h" else None
    return len(words) if words else None


def _heads(view: ConfigView) -> int:
    if view.model_type in {"mamba", "mamba2", "falcon_mamba"}:
        return 0
    return view.size(*HEADS, default=0) or 0


def _kv_heads(view: ConfigView, heads: int) -> int:
    """Old Falcon: `multi_query` means one head, unless `new_decoder_architecture` is set."""
    if view.model_type in {"falcon", "RefinedWeb", "RefinedWebModel"} and not view.flag(
        "new_decoder_architecture"
    ):
        return 1 if view.flag("multi_query", default=True) else heads
    listed = view.sizes("num_key_value_heads") or block_heads(view, heads)
    if listed:
        return max(listed)
    nested = view.below("attn_config")  # DBRX
    if nested is not None and nested.size("kv_n_heads"):
        return nested.need("kv_n_heads")
    return (view.size(*_KV_HEADS) or heads) if heads else 0


def _attention_sinks(view: ConfigView, model_type: str) -> bool:
    """A learned logit beside the keys; Granite has it wherever layers are typed (granite.py#L109)."""
    if model_type in _GRANITE:
        typed = model_type.endswith("_swa") or view.texts("layer_types") is not None
        return view.flag("attention_sinks", default=typed)
    named = ("add_swa_attention_sink_bias", "swa_attention_sink_enabled")
    return model_type == "gpt_oss" or any(view.flag(name) for name in named)


def _head_dim(view: ConfigView, hidden: int, heads: int) -> int:
    if view.model_type in {"mamba", "mamba2", "falcon_mamba"}:
        return 0
    if view.model_type == "zamba2":
        return view.size("attention_head_dim") or 2 * hidden // max(heads, 1)
    latent = (view.size("qk_nope_head_dim") or 0) + (view.size("qk_rope_head_dim") or 0)
    if view.size("kv_lora_rank") and latent:
        return latent
    return view.size("head_dim", "hidden_size_per_head", "kv_channels") or (hidden // heads if heads else 0)


def _feed_forward(view: ConfigView, hidden: int) -> int:
    if view.model_type == "llama4_text":
        return view.size("intermediate_size_mlp", "intermediate_size", default=0) or 0
    if (view.model_type or "").startswith("minimax_m3"):  # `intermediate_size` is an expert's
        return view.size("dense_intermediate_size", "intermediate_size", default=0) or 0
    listed = view.sizes("intermediate_size")
    written = max(listed) if listed else view.size(*_FEED_FORWARD)
    if written is None and view.model_type in {"falcon", "gpt2", "bloom", "gpt_neox", "gptj"}:
        return 4 * hidden
    return written or 0


def _per_layer(view: ConfigView, name: str) -> tuple[int, ...] | None:
    """A list with one figure a layer; None where the file has one figure for all."""
    listed = view.sizes(name)
    return listed if listed and len(set(listed)) > 1 and len(listed) >= view.layers(*LAYERS) else None


def _attention_bias(view: ConfigView) -> str | None:
    always = _BIAS_ALWAYS.get(view.model_type or "")
    if always is not None:
        return always
    if view.flag("use_qkv_bias") or view.flag("qkv_bias") or view.flag("add_qkv_bias"):
        return "qkv"
    if view.flag("attention_bias") or (
        view.model_type == "starcoder2" and view.flag("use_bias", default=True)
    ):
        return "qkv" if view.model_type in _BIAS_WITHOUT_OUTPUT else "qkvo"
    return None


def _qk_norm(view: ConfigView) -> str | None:
    if view.model_type in _QK_NORM_HEAD or (view.flag("use_qk_norm") and view.model_type == "glm4_moe"):
        return "head"
    if view.model_type in _QK_NORM_LAYER or (view.flag("use_qk_norm") and view.model_type == "cohere"):
        return "layer"
    return None


def _attention_fields(view: ConfigView) -> dict[str, Any]:
    gemma4 = (view.model_type or "").startswith(("gemma4", "diffusion_gemma"))
    shared_values = view.flag("attention_k_eq_v")
    return {
        "v_head_dim": view.size("v_head_dim"),
        "layer_kv_heads": block_heads(view, _heads(view)) or _per_layer(view, "num_key_value_heads"),
        "layer_intermediate_sizes": block_widths(view) or _per_layer(view, "intermediate_size"),
        "attention_k_eq_v": shared_values,
        "global_head_dim": view.size("global_head_dim", default=512 if gemma4 else None),
        "num_global_key_value_heads": view.size("num_global_key_value_heads") if shared_values else None,
        "swa_num_key_value_heads": view.size("swa_num_key_value_heads")
        or _other_setting(view, "num_attention_groups"),
        "num_kv_shared_layers": view.size("num_kv_shared_layers") or None,
        "kv_lora_rank": view.size("kv_lora_rank"),
        "q_lora_rank": view.size("q_lora_rank"),
        "qk_rope_head_dim": view.size("qk_rope_head_dim"),
        "qk_nope_head_dim": view.size("qk_nope_head_dim"),
        "index_n_heads": view.size("index_n_heads") or _of_blocks(view, "sparse_num_index_heads"),
        "index_head_dim": view.size("index_head_dim") or _of_blocks(view, "sparse_index_dim"),
        "index_topk": view.size("index_topk") or _of_blocks(view, "sparse_topk_blocks"),
        "compress_ratios": view.sizes("compress_ratios"),
    }


def _other_setting(view: ConfigView, name: str) -> int | None:
    """Step 3.5 describes its sliding layers in `attention_other_setting`."""
    inner = view.below("attention_other_setting")
    return inner.size(name) if inner is not None else None


def _of_blocks(view: ConfigView, name: str) -> int | None:
    """MiniMax-M3 describes its indexer in `sparse_attention_config`."""
    inner = view.below("sparse_attention_config")
    return inner.size(name) if inner is not None else None


def _table_fields(view: ConfigView) -> dict[str, Any]:
    per_layer = view.size("hidden_size_per_layer_input") or None
    return {
        "hidden_size_per_layer_input": per_layer,
        "vocab_size_per_layer_input": view.size("vocab_size_per_layer_input") if per_layer else None,
        "type_vocab_size": view.size("type_vocab_size"),
        "mtp_layers": view.size("num_nextn_predict_layers", "mtp_num_hidden_layers") or None,
    }


def _extra(view: ConfigView) -> dict[str, int | float | str | bool]:
    found: dict[str, int | float | str | bool] = {}
    for name in _KEPT:
        value = view.value(name)
        if isinstance(value, bool | str) or (isinstance(value, int | float) and abs(value) < 10**9):
            found[name] = value
    if view.model_type == "bailing_hybrid":  # lightning layers have heads of their own width
        found["linear_head_dim"] = view.size("head_dim") or view.need(*HIDDEN) // max(_heads(view), 1)
    block = _of_blocks(view, "sparse_block_size")
    if block:
        found["index_block_size"] = block
    other = view.below("attention_other_setting")
    if other is not None:
        for key, name in (("head_dim", "swa_head_dim"), ("num_attention_heads", "swa_num_attention_heads")):
            size = other.size(key)
            if size:
                found[name] = size
    return found
