"""What kind of layer stands where, by GGUF metadata.

Source: load_arch_hparams and load_swa_pattern in src/models/<architecture>.cpp of
llama.cpp b11434.
"""

from typing import Final

from probe.model_files.gguf_values import ArchitectureValues

# A window in every layer but each n-th.
_SLIDING_PERIOD: Final = {
    "gemma2": 2, "gpt-oss": 2, "afmoe": 4, "cohere2": 4, "exaone-moe": 4, "olmo2": 4, "gemma3n": 5,
    "gemma3": 6, "gemma-embedding": 6,
}  # fmt: skip
_STATE_KEPT_BY_ZERO_HEADS: Final = {
    "jamba": "M", "granitehybrid": "M", "lfm2": "C", "lfm2moe": "C", "kimi-linear": "L",
}  # fmt: skip
_FULL_EVERY: Final = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "minimax-01": 8}


def layer_pattern(
    m: ArchitectureValues,
    arch: str,
    layers: int,
    kv_heads: tuple[int, ...] | None,
    feed_forward: tuple[int, ...] | None,
) -> str | None:
    """One letter a layer, or None for full attention everywhere."""
    if arch in ("mamba", "mamba2", "rwkv6", "rwkv7", "arwkv7"):
        return "M" * layers
    if arch == "falcon-h1":
        return "P" * layers
    if arch in ("nemotron_h", "nemotron_h_moe") and kv_heads and feed_forward:
        network = "E" if m.number("expert_count") else "-"
        pairs = zip(kv_heads, feed_forward, strict=True)
        return "".join(network if width else "F" if own else "M" for own, width in pairs)
    if arch in _STATE_KEPT_BY_ZERO_HEADS and kv_heads:
        return "".join("F" if own else _STATE_KEPT_BY_ZERO_HEADS[arch] for own in kv_heads)
    if arch in _FULL_EVERY:
        listed = m.per_layer("attention.recurrent_layers", layers)
        if listed is not None:
            return "".join("L" if recurrent else "F" for recurrent in listed)
        interval = m.number("full_attention_interval") or _FULL_EVERY[arch]
        return "".join("F" if (layer + 1) % interval == 0 else "L" for layer in range(layers))
    return _window_pattern(m, arch, layers)


def _window_pattern(m: ArchitectureValues, arch: str, layers: int) -> str | None:
    window = m.number("attention.sliding_window")
    period = _SLIDING_PERIOD.get(arch)
    # Of EXAONE 4 only the 32B slides, src/models/exaone4.cpp.
    if (arch == "llama4" and window != 0) or (arch == "exaone4" and layers == 64):
        period = 4
    elif not window and arch != "gemma2":
        return None
    stated = m.get("attention.sliding_window_pattern")
    if isinstance(stated, (list, tuple)):
        flags = m.per_layer("attention.sliding_window_pattern", layers) or ()
        return "".join("S" if flag else "F" for flag in flags)
    if isinstance(stated, int) and not isinstance(stated, bool):
        period = stated
    if not period:
        return None
    return "".join("F" if layer % period == period - 1 else "S" for layer in range(layers))


def heads_differ(kv_heads: tuple[int, ...] | None, pattern: str | None) -> bool:
    """Whether the attention layers themselves differ: zeros only mark layers without attention."""
    if kv_heads is None:
        return False
    attending = {
        own for own, letter in zip(kv_heads, pattern or "F" * len(kv_heads), strict=True) if letter in "FS"
    }
    return len(attending) > 1
