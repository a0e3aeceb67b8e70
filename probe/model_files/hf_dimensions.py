"""Shapes of a model from its config.json, whatever names its family uses for them."""

from typing import Any, Final

from probe.catalog.model_spec import Dimensions
from probe.errors import InputError
from probe.model_files.config_view import ConfigView
from probe.model_files.hf_layers import effective_window, layer_pattern

_HIDDEN: Final = ("hidden_size", "n_embd", "d_model")
_LAYERS: Final = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HEADS: Final = ("num_attention_heads", "n_head", "n_heads")
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
    "bailing_moe", "interns1",
)  # fmt: skip
_QK_NORM_LAYER: Final = ("olmo2", "olmo3", "olmoe", "minimax_m2")
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
    if not (view.size(*_HIDDEN) and view.size("vocab_size") and (by_pattern or view.size(*_LAYERS))):
        return None
    layers = by_pattern or view.layers(*_LAYERS)
    hidden = view.need(*_HIDDEN)
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
        attention_sinks=model_type == "gpt_oss" or view.flag("add_swa_attention_sink_bias"),
        extra=_extra(view),
        **_attention_fields(view),
        **_expert_fields(view),
        **_state_fields(view, hidden),
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
    return view.size(*_HEADS, default=0) or 0


def _kv_heads(view: ConfigView, heads: int) -> int:
    """Old Falcon: `multi_query` means one head, unless `new_decoder_architecture` is set."""
    if view.model_type in {"falcon", "RefinedWeb", "RefinedWebModel"} and not view.flag(
        "new_decoder_architecture"
    ):
        return 1 if view.flag("multi_query", default=True) else heads
    return view.size(*_KV_HEADS, default=heads) if heads else 0  # type: ignore[return-value]  # default is an int


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
    written = view.size(*_FEED_FORWARD)
    if written is None and view.model_type in {"falcon", "gpt2", "bloom", "gpt_neox", "gptj"}:
        return 4 * hidden
    return written or 0


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
    gemma4 = (view.model_type or "").startswith("gemma4")
    shared_values = view.flag("attention_k_eq_v")
    per_layer = (
        view.sizes("num_key_value_heads") if isinstance(view.value("num_key_value_heads"), list) else None
    )
    return {
        "v_head_dim": view.size("v_head_dim"),
        "layer_kv_heads": per_layer,
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
        "index_n_heads": view.size("index_n_heads"),
        "index_head_dim": view.size("index_head_dim"),
        "index_topk": view.size("index_topk"),
        "compress_ratios": view.sizes("compress_ratios"),
    }


def _other_setting(view: ConfigView, name: str) -> int | None:
    """Step 3.5 describes its sliding layers in `attention_other_setting`."""
    inner = view.below("attention_other_setting")
    return inner.size(name) if inner is not None else None


def _first(view: ConfigView, *names: str) -> int | None:
    """The first figure; lists (ERNIE-VL, Hunyuan) repeat one value."""
    for name in names:
        value = view.value(name)
        if isinstance(value, list):
            return (view.sizes(name) or (0,))[0] or None
        found = view.size(name)
        if found:
            return found
    return None


def _expert_fields(view: ConfigView) -> dict[str, Any]:
    experts = _first(view, "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    if not experts or experts == 1:
        return {}
    width = _first(
        view,
        "moe_intermediate_size",
        "expert_ffn_hidden_size",
        "moe_hidden_size",
        "intermediate_size",
        "ffn_hidden_size",
    )
    shared = _first(
        view, "n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"
    )
    shared_width = _first(
        view,
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
    )
    if view.model_type == "llama4_text":
        shared_width = width
    return {
        "num_experts": experts,
        "experts_per_token": _first(
            view,
            "num_experts_per_tok",
            "num_experts_per_token",
            "top_k_experts",
            "moe_topk",
            "moe_top_k",
            "moe_k",
        ),
        "moe_intermediate_size": width,
        "n_shared_experts": shared,
        "shared_expert_intermediate_size": shared_width or (shared * width if shared and width else None),
        "first_k_dense": _first(view, "first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"),
        "moe_latent_size": view.size("moe_latent_size"),
        **_expert_layers(view),
    }


def _expert_layers(view: ConfigView) -> dict[str, Any]:
    """Which layers hold experts where it is not all after the first dense ones."""
    if view.model_type == "jamba":
        return {
            "moe_layer_step": view.size("expert_layer_period") or 2,
            "moe_layer_offset": view.size("expert_layer_offset", default=1),
        }
    step = view.size("interleave_moe_layer_step")
    if step and step > 1:
        layers = view.layers(*_LAYERS)
        return {"moe_layers": tuple(range(step - 1, layers, step))}
    flags = view.value("moe_layer_freq")
    if isinstance(flags, list):
        return {
            "moe_layers": tuple(
                index for index, flag in enumerate(view.sizes("moe_layer_freq") or ()) if flag
            )
        }
    enumerated = view.text("moe_layers_enum")
    if enumerated:
        return {"moe_layers": tuple(int(part) for part in enumerated.split(",") if part.strip().isdigit())}
    dense = view.sizes("mlp_only_layers")
    if dense:
        layers = view.layers(*_LAYERS)
        return {"moe_layers": tuple(index for index in range(layers) if index not in dense)}
    sparse_step = view.size("decoder_sparse_step")
    if sparse_step and sparse_step > 1:
        return {"moe_layer_step": sparse_step, "moe_layer_offset": sparse_step - 1}
    return {}


def _state_fields(view: ConfigView, hidden: int) -> dict[str, Any]:
    """State-space, linear-attention and short-convolution sizes under their canonical names."""
    heads = view.size("mamba_num_heads", "mamba_n_heads", "n_mamba_heads")
    head_dim = _number_or_none(view, "mamba_head_dim") or _number_or_none(view, "mamba_d_head")
    head_dim = head_dim or view.size("mamba_headdim")
    inner = view.size("mamba_d_ssm")
    expand = _expand(view)
    if view.model_type == "mamba2":
        heads, head_dim = view.size("num_heads"), view.size("head_dim")
    if view.model_type in {"mamba", "falcon_mamba"}:
        inner = view.size("intermediate_size", "d_inner") or (expand or 2) * hidden
    if heads and not head_dim and expand:
        head_dim = expand * hidden // heads
    state = view.size("ssm_state_size", "mamba_d_state", "state_size")
    return {
        "ssm_state_size": state,
        "ssm_conv_kernel": view.size("mamba_d_conv", "conv_kernel") if state else None,
        "ssm_num_heads": heads,
        "ssm_head_dim": head_dim,
        "ssm_n_groups": view.size("mamba_n_groups", "mamba_ngroups", "n_groups") if heads else None,
        "ssm_expand": expand if state else None,
        "ssm_inner": inner,
        "ssm_dt_rank": _dt_rank(view, hidden) if state and not heads else None,
        "conv_l_cache": view.size("conv_L_cache"),
        **_linear_fields(view),
    }


def _linear_fields(view: ConfigView) -> dict[str, Any]:
    inner = view.below("linear_attn_config")
    if inner is not None:  # Kimi Linear: one head count and one width for keys and values
        heads, width = inner.need("num_heads"), inner.need("head_dim")
        return {
            "linear_conv_kernel_dim": inner.size("short_conv_kernel_size", default=4),
            "linear_num_key_heads": heads,
            "linear_num_value_heads": heads,
            "linear_key_head_dim": width,
            "linear_value_head_dim": width,
        }
    return {
        name: view.size(name)
        for name in (
            "linear_conv_kernel_dim",
            "linear_num_key_heads",
            "linear_key_head_dim",
            "linear_num_value_heads",
            "linear_value_head_dim",
        )
    }


def _number_or_none(view: ConfigView, name: str) -> int | None:
    """Granite and Falcon-H1 write the word `auto` where the width follows from the others."""
    return None if isinstance(view.value(name), str) else view.size(name)


def _expand(view: ConfigView) -> int | None:
    value = view.number("mamba_expand") if view.value("mamba_expand") is not None else view.number("expand")
    if value is None:
        return None
    if not 0 < value <= 64:
        raise InputError("model_files.config.field_wrong", model="", field="expand", value=str(value))
    return int(value)


def _dt_rank(view: ConfigView, hidden: int) -> int | None:
    for name in ("mamba_dt_rank", "time_step_rank"):
        if isinstance(view.value(name), str):
            return -(-hidden // 16)
        found = view.size(name)
        if found:
            return found
    return None


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
    other = view.below("attention_other_setting")
    if other is not None:
        for key, name in (("head_dim", "swa_head_dim"), ("num_attention_heads", "swa_num_attention_heads")):
            size = other.size(key)
            if size:
                found[name] = size
    return found
