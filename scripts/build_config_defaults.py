"""Write what transformers assumes where a config.json leaves a key out.

Needs the transformers package. Only figures that decide shapes are kept:
    python scripts/build_config_defaults.py catalogs/models/config_defaults.json
"""

import argparse
import datetime
import importlib
import json
from pathlib import Path
from typing import Any

KEYS = """
hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim v_head_dim vocab_size
intermediate_size max_position_embeddings sliding_window use_sliding_window max_window_layers
attention_chunk_size sliding_window_pattern no_rope_layer_interval tie_word_embeddings
kv_lora_rank q_lora_rank qk_rope_head_dim qk_nope_head_dim index_topk index_n_heads index_head_dim
num_experts num_local_experts n_routed_experts num_experts_per_tok moe_intermediate_size
n_shared_experts shared_expert_intermediate_size first_k_dense_replace decoder_sparse_step
interleave_moe_layer_step intermediate_size_mlp moe_num_experts moe_k moe_num_shared_experts
moe_layer_start_index moe_layer_end_index moe_layer_interval shared_intermediate_size moe_latent_size
moe_shared_expert_intermediate_size expert_layer_offset expert_layer_period
global_head_dim num_global_key_value_heads attention_k_eq_v num_kv_shared_layers
hidden_size_per_layer_input vocab_size_per_layer_input
mamba_d_state mamba_d_conv mamba_expand mamba_dt_rank mamba_n_heads mamba_d_head mamba_d_ssm
mamba_n_groups mamba_num_heads mamba_head_dim mamba_ngroups n_mamba_heads mamba_headdim ssm_state_size
conv_kernel n_groups expand state_size time_step_rank num_heads mamba_ssm_cache_dtype mamba_ssm_dtype
linear_conv_kernel_dim linear_key_head_dim linear_value_head_dim linear_num_key_heads
linear_num_value_heads conv_L_cache conv_dim block_ff_dim attn_layer_offset attn_layer_period
multi_query new_decoder_architecture num_kv_heads n_layer n_head n_embd n_positions n_inner ffn_dim
original_max_position_embeddings attn_logit_softcapping num_nextn_predict_layers
mtp_num_hidden_layers attention_head_dim word_embed_proj_dim global_attn_every_n_layers
layer_types type_vocab_size add_bias_linear attention_bias hidden_act hidden_activation
""".split()  # noqa: SIM905  # ninety names read better without ninety pairs of quotes


def plain(value: object) -> bool:
    """A figure or a word: no lists, methods or properties."""
    return value is None or isinstance(value, int | float | str | bool)


def row(config_class: Any) -> dict[str, Any]:
    """Class-level defaults, key renames and nested text type of one configuration class."""
    missing = object()
    values = {key: getattr(config_class, key, missing) for key in KEYS}
    defaults = {key: value for key, value in values.items() if value is not missing and plain(value)}
    renames = dict(getattr(config_class, "attribute_map", None) or {})
    nested = {
        key: getattr(sub, "model_type", None)
        for key, sub in (getattr(config_class, "sub_configs", None) or {}).items()
        if key in {"text_config", "llm_config", "thinker_config", "language_config"}
    }
    return {
        "defaults": defaults,
        **({"renames": {k: v for k, v in renames.items() if k in KEYS or v in KEYS}} if renames else {}),
        **({"nested": nested} if nested else {}),
    }


def is_language_model(entry: dict[str, Any]) -> bool:
    """Vision and audio towers have no vocabulary or no layers of their own."""
    defaults = entry["defaults"]
    layers = {"num_hidden_layers", "n_layer", "n_layers"} & set(defaults)
    return bool(entry.get("nested")) or ("vocab_size" in defaults and bool(layers)) or "renames" in entry


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    transformers = importlib.import_module("transformers")
    auto = importlib.import_module("transformers.models.auto.configuration_auto")

    types = {}
    for name in sorted(auto.CONFIG_MAPPING_NAMES):
        try:
            entry = row(auto.CONFIG_MAPPING[name])
        except (ImportError, AttributeError):
            continue
        if is_language_model(entry):
            types[name] = entry
    document = {
        "source": f"transformers {transformers.__version__}, src/transformers/models/*/configuration_*.py",
        "retrieved": datetime.date.today().isoformat(),
        "types": types,
    }
    lines = [f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in types.items()]
    head = json.dumps({k: v for k, v in document.items() if k != "types"})[:-1]
    options.target.write_text(head + ', "types": {\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    print(f"{len(types)} model types")


if __name__ == "__main__":
    main()
