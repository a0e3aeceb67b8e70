"""Mixture-of-experts sizes of a config.json, whatever its family calls them."""

from typing import Any

from probe.model_files.config_view import LAYERS, ConfigView


def expert_fields(view: ConfigView) -> dict[str, Any]:
    """Fields of Dimensions that describe the experts; empty for dense models."""
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
        layers = view.layers(*LAYERS)
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
        layers = view.layers(*LAYERS)
        return {"moe_layers": tuple(index for index in range(layers) if index not in dense)}
    sparse_step = view.size("decoder_sparse_step")
    if sparse_step and sparse_step > 1:
        return {"moe_layer_step": sparse_step, "moe_layer_offset": sparse_step - 1}
    return {}


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
