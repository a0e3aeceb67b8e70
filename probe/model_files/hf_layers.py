"""What mixes tokens in each layer, read from a config.json: one letter a layer (LayerKind)."""

from collections.abc import Callable
from typing import Final

from probe.model_files.config_view import ConfigView

_WORDS: Final = {
    "full_attention": "F",
    "attention": "F",
    "indexed_attention": "F",
    "minimax_m3_sparse": "F",
    "sliding_attention": "S",
    "window_attention": "S",
    "chunked_attention": "S",
    "conv": "C",
    "short_conv": "C",
    "mamba": "M",
    "hybrid": "P",
    "moe": "E",
    "mlp": "-",
    "cross_attention": "X",
}
# transformers calls Mamba layers "linear_attention" too; these families really hold linear attention
_LINEAR_FAMILIES: Final = (
    "qwen3_next",
    "qwen3_5",
    "qwen4",
    "kimi",
    "olmo_hybrid",
    "bailing",
    "minimax",
    "glm5",
)
_NEMOTRON: Final = {"M": "M", "*": "F", "-": "-", "E": "E"}
_ALL_MAMBA: Final = ("mamba", "mamba2", "falcon_mamba")


def effective_window(view: ConfigView) -> int | None:
    """The sliding window that the model really uses: zero and `use_sliding_window: false` mean none.

    Source: transformers 5.19.0, models/qwen2/configuration_qwen2.py (`use_sliding_window`); vllm 0.32.0,
    config/model.py#L806 (zero is none).
    """
    window = view.size("sliding_window", "sliding_window_size")
    switch = view.value("use_sliding_window")
    if switch is not None and not switch:
        return None
    return window or None


def layer_pattern(view: ConfigView, layers: int) -> str | None:
    """One letter a layer; None where every layer is full attention.

    Where the file lists its layers, the list; else the rule of its model type in
    transformers 5.19.0 (`__post_init__` of models/*/configuration_*.py).
    """
    window = effective_window(view)
    listed = _listed(view, layers)
    pattern = listed if listed is not None else _by_rule(view, layers, window)
    if pattern is None and window is not None and not _decides_by_layer(view):
        pattern = "S" * layers
    if pattern is None or set(pattern) == {"F"}:
        return None
    if window is None and view.size("attention_chunk_size") is None:
        pattern = pattern.replace("S", "F")
    return None if set(pattern) == {"F"} else pattern


def _listed(view: ConfigView, layers: int) -> str | None:
    written = view.text("hybrid_override_pattern")
    if written is not None:
        return "".join(_NEMOTRON.get(letter, "F") for letter in written)
    flags = view.value("hybrid_layer_pattern")
    if isinstance(flags, list):
        return "".join("S" if flag == 1 else "F" for flag in flags)[:layers]
    words = view.texts("layer_types") or view.texts("layers_block_type")
    if not words:
        return None
    linear = "L" if (view.model_type or "").startswith(_LINEAR_FAMILIES) else "M"
    letters = [linear if word == "linear_attention" else _WORDS.get(word, "F") for word in words]
    if view.model_type == "zamba2":
        return "".join("P" if word == "hybrid" else "M" for word in words)[:layers]
    return "".join(letters)[:layers]


def _every(step: int, layers: int, special: str = "F", other: str = "S") -> str:
    """`special` at every step-th layer, counted from 1; step 0 means nowhere."""
    return "".join(special if step and (index + 1) % step == 0 else other for index in range(layers))


def _pattern_step(view: ConfigView, default: int) -> int:
    """`sliding_window_pattern` as a number; a word such as LLLG names one period."""
    value = view.value("sliding_window_pattern")
    if isinstance(value, str):
        return len(value) or default
    return view.size("sliding_window_pattern", "_sliding_window_pattern") or default


def _gemma4(view: ConfigView, layers: int) -> str:
    return _every(6, layers)[:-1] + "F"


def _llama4(view: ConfigView, layers: int) -> str:
    rotary = view.sizes("no_rope_layers")
    if not rotary:
        return _every(view.size("no_rope_layer_interval") or 4, layers)
    return "".join("S" if uses_rope else "F" for uses_rope in rotary)[:layers]


def _kimi_linear(view: ConfigView, layers: int) -> str | None:
    """The lists of `linear_attn_config` count layers from 1."""
    inner = view.below("linear_attn_config")
    full = inner.sizes("full_attn_layers") if inner is not None else None
    if full is None:
        return None
    return "".join("F" if index + 1 in full else "L" for index in range(layers))


def _jamba(view: ConfigView, layers: int) -> str:
    period, offset = view.size("attn_layer_period") or 8, view.size("attn_layer_offset", default=4)
    return "".join("F" if index % period == offset else "M" for index in range(layers))


def _lfm2(view: ConfigView, layers: int) -> str:
    full = view.sizes("full_attn_idxs")
    return "".join("F" if full is None or index in full else "C" for index in range(layers))


def _bamba(view: ConfigView, layers: int) -> str:
    full = view.sizes("attn_layer_indices") or ()
    return "".join("F" if index in full else "M" for index in range(layers))


def _bailing(view: ConfigView, layers: int) -> str:
    """The last layer of each group attends fully, the others linearly."""
    return _every(view.size("layer_group_size") or 1, layers, "F", "L")


def _late_windows(view: ConfigView, layers: int) -> str:
    first = view.size("max_window_layers", default=0) or 0
    return "".join("S" if index >= first else "F" for index in range(layers))


def _linear(view: ConfigView, layers: int) -> str:
    return _every(view.size("full_attention_interval") or 4, layers, "F", "L")


def _olmo_hybrid(view: ConfigView, layers: int) -> str:
    return _every(4, layers, "F", "L")


def _chess(view: ConfigView, layers: int) -> str:
    return _every(2, layers)


def _of_four(view: ConfigView, layers: int) -> str:
    return _every(_pattern_step(view, 4), layers)


def _of_five(view: ConfigView, layers: int) -> str:
    return _every(5, layers)


def _of_six(view: ConfigView, layers: int) -> str:
    return _every(_pattern_step(view, 6), layers)


def _afmoe(view: ConfigView, layers: int) -> str:
    return _every(view.size("global_attn_every_n_layers") or 4, layers)


def _full_first(view: ConfigView, layers: int) -> str:
    return "".join("F" if index % 4 == 0 else "S" for index in range(layers))


def _full_last(view: ConfigView, layers: int) -> str:
    return "".join("F" if (layers - 1 - index) % 4 == 0 else "S" for index in range(layers))


def _mimo_v2(view: ConfigView, layers: int) -> str:
    return "".join("F" if index == 0 or (index + 1) % 6 == 0 else "S" for index in range(layers))


_RULES: Final[dict[str, Callable[[ConfigView, int], str | None]]] = {
    "afmoe": _afmoe,
    "bailing_hybrid": _bailing,
    "bamba": _bamba,
    "cwm": _full_first,
    "cohere2": _of_four,
    "cohere2_moe": _of_four,
    "exaone4": _of_four,
    "exaone_moe": _of_four,
    "gemma2": _chess,
    "gemma3": _of_six,
    "gemma3_text": _of_six,
    "gemma3n": _of_five,
    "gemma3n_text": _of_five,
    "gemma4": _gemma4,
    "gemma4_text": _gemma4,
    "gemma4_unified_text": _gemma4,
    "diffusion_gemma_text": _gemma4,
    "muse_glimmer": _full_last,
    "muse_glimmer_text": _full_last,
    "gpt_oss": _chess,
    "granite_swa": _full_first,
    "granitemoe_swa": _full_first,
    "jamba": _jamba,
    "kimi_linear": _kimi_linear,
    "lfm2": _lfm2,
    "lfm2_moe": _lfm2,
    "llama4": _llama4,
    "llama4_text": _llama4,
    "mimo_v2_flash": _mimo_v2,
    "olmo3": _of_four,
    "vaultgemma": _chess,
    "olmo_hybrid": _olmo_hybrid,
    "qwen2": _late_windows,
    "qwen2_5_vl": _late_windows,
    "qwen2_5_vl_text": _late_windows,
    "qwen2_vl": _late_windows,
    "qwen2_vl_text": _late_windows,
    "qwen3": _late_windows,
    "qwen3_5": _linear,
    "qwen3_5_moe": _linear,
    "qwen3_5_moe_text": _linear,
    "qwen3_5_text": _linear,
    "qwen3_next": _linear,
    "dots1": _late_windows,
}


def _by_rule(view: ConfigView, layers: int, window: int | None) -> str | None:
    model_type = view.model_type or ""
    if model_type in _ALL_MAMBA:
        return "M" * layers
    if model_type == "falcon_h1":
        return "P" * layers
    if model_type == "granitemoehybrid":
        return "M" * layers
    rule = _RULES.get(model_type)
    return rule(view, layers) if rule is not None else None


def _decides_by_layer(view: ConfigView) -> bool:
    """Types that list their layers: without a list every layer is full, whatever window is set."""
    return (view.model_type or "") in _RULES or view.class_has("layer_types")
