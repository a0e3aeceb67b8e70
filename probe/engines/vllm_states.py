"""Bytes of the constant states that Mamba, linear-attention and convolution layers keep in vLLM.

Source throughout: vllm 0.32.0, model_executor/layers/mamba/mamba_utils.py#L165-L330 (shapes) and
#L46-L160 (number formats), and the `get_mamba_state_*_from_config` of the named model file.
"""

from typing import Final

from probe.catalog.model_spec import Dimensions, LayerKind
from probe.engines.vllm_platform import DTYPE_BYTES

_FLOAT32_BYTES: Final = 4


def state_bytes(
    d: Dimensions, model_type: str, kind: LayerKind, *, tp: int, dtype: str, from_file: bool
) -> int:
    """State of one layer of `kind` on one GPU, bytes; 0 for layers without a state.

    Args:
        from_file: `d` comes from the model's own config.json, so that a missing key is
            known to be missing; catalog rows leave rare keys out.
    """
    width = DTYPE_BYTES[dtype]
    if kind is LayerKind.CONV:
        inner = int(d.extra.get("conv_dim", 0)) or d.hidden_size if model_type == "lfm2" else d.hidden_size
        return ((d.conv_l_cache or 3) - 1) * (inner // tp) * width
    if kind in {LayerKind.MAMBA, LayerKind.PARALLEL}:
        return _mamba(d, model_type, tp=tp, width=width)
    if kind is LayerKind.LINEAR:
        return _linear(d, model_type, tp=tp, width=width, from_file=from_file)
    return 0


def is_mamba2(d: Dimensions) -> bool:
    """Mamba 2 splits its inner width into heads, Mamba 1 has none."""
    return bool(d.ssm_num_heads)


def mamba_inner(d: Dimensions) -> int:
    """Inner width of a Mamba block."""
    if d.ssm_inner:
        return d.ssm_inner
    if d.ssm_num_heads and d.ssm_head_dim:
        return d.ssm_num_heads * d.ssm_head_dim
    return (d.ssm_expand or 2) * d.hidden_size


def _mamba(d: Dimensions, model_type: str, *, tp: int, width: int) -> int:
    """Mamba 1: convolution and (inner, state). Mamba 2: also over B and C, and (heads, dim, state).

    Groups that TP does not divide are replicated: their number becomes TP (#L268).
    """
    inner, kernel, state = mamba_inner(d), (d.ssm_conv_kernel or 4) - 1, d.ssm_state_size or 0
    if not is_mamba2(d):
        return (inner // tp) * (kernel + state) * width
    groups = d.ssm_n_groups or 1
    if groups % tp:
        groups = tp
    heads, head_dim = d.ssm_num_heads or 0, d.ssm_head_dim or 0
    convolution = kernel * ((inner + 2 * groups * state) // tp) * width
    return convolution + (heads // tp) * head_dim * state * _mamba_state_width(d, model_type, width)


def _mamba_state_width(d: Dimensions, model_type: str, width: int) -> int:
    """Nemotron-H: float32 unless its config names another format (models/config.py#L722)."""
    if not model_type.startswith("nemotron_h"):
        return width
    return DTYPE_BYTES.get(str(d.extra.get("mamba_ssm_cache_dtype", "float32")), width)


def _linear(d: Dimensions, model_type: str, *, tp: int, width: int, from_file: bool) -> int:
    key_heads, key_dim = d.linear_num_key_heads or 0, d.linear_key_head_dim or 0
    value_heads, value_dim = d.linear_num_value_heads or 0, d.linear_value_head_dim or 0
    if not value_heads:  # lightning attention: one square state per head, no convolution
        head_dim = int(d.extra.get("linear_head_dim", 0)) or d.head_dim
        return (d.num_attention_heads // tp) * head_dim * head_dim * width
    kernel = (d.linear_conv_kernel_dim or 4) - 1
    convolution = kernel * ((2 * key_heads * key_dim + value_heads * value_dim) // tp) * width
    state_width = _linear_state_width(d, model_type, width, from_file=from_file)
    return convolution + (value_heads // tp) * value_dim * key_dim * state_width


def _linear_state_width(d: Dimensions, model_type: str, width: int, *, from_file: bool) -> int:
    """KDA: float32 (#L137). Qwen3.5: its config's `mamba_ssm_dtype` (models/config.py#L826)."""
    if model_type.startswith("kimi"):
        return _FLOAT32_BYTES
    if model_type.startswith("qwen3_5"):
        published = "auto" if from_file else "float32"
        return DTYPE_BYTES.get(str(d.extra.get("mamba_ssm_dtype", published)), width)
    return width
