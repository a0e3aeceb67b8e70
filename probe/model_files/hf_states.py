"""State-space, linear-attention and short-convolution sizes of a config.json."""

from typing import Any

from probe.errors import InputError
from probe.model_files.config_view import HEADS, HIDDEN, ConfigView


def state_fields(view: ConfigView, hidden: int) -> dict[str, Any]:
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
    if heads and not head_dim and (inner or expand):
        head_dim = (inner or (expand or 0) * hidden) // heads
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
    key_heads, value_heads = view.size("linear_num_key_heads"), view.size("linear_num_value_heads")
    key_dim, value_dim = view.size("linear_key_head_dim"), view.size("linear_value_head_dim")
    if view.model_type == "olmo_hybrid":  # configuration_olmo_hybrid.py, __post_init__
        key_heads, value_heads = (
            key_heads or (view.size(*HEADS) or 0),
            value_heads or (view.size(*HEADS) or 0),
        )
        key_dim = key_dim or 3 * view.need(*HIDDEN) // (4 * max(key_heads, 1))
        value_dim = value_dim or 2 * key_dim
    return {
        "linear_conv_kernel_dim": view.size("linear_conv_kernel_dim"),
        "linear_num_key_heads": key_heads,
        "linear_key_head_dim": key_dim,
        "linear_num_value_heads": value_heads,
        "linear_value_head_dim": value_dim,
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
