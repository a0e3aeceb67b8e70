"""`block_configs` of Nemotron-NAS (DeciLM): every layer has its own heads and widths."""

from collections.abc import Mapping
from typing import Any

from probe.model_files.config_view import HIDDEN, ConfigView


def _blocks(view: ConfigView) -> list[Mapping[str, Any]]:
    """`block_configs` of Nemotron-NAS: one object a layer."""
    blocks = view.value("block_configs")
    if not isinstance(blocks, list) or view.model_type != "nemotron-nas":
        return []
    return [block for block in blocks if isinstance(block, Mapping)]


def block_heads(view: ConfigView, heads: int) -> tuple[int, ...] | None:
    """Key and value heads of each layer; 0 where a block has no attention."""
    found = []
    for block in _blocks(view):
        attention = block.get("attention")
        group = attention.get("n_heads_in_group") if isinstance(attention, Mapping) else None
        found.append(heads // group if isinstance(group, int) and group > 0 else 0)
    return tuple(found) or None


def block_widths(view: ConfigView) -> tuple[int, ...] | None:
    """Feed-forward widths: two thirds of `ffn_mult` x hidden, up to a multiple of 256.

    Source: nvidia/Llama-3_1-Nemotron-51B-Instruct, configuration_decilm.py (_ffn_mult_to_intermediate_size).
    """
    found = []
    for block in _blocks(view):
        network = block.get("ffn")
        factor = network.get("ffn_mult") if isinstance(network, Mapping) else None
        known = isinstance(factor, int | float) and 0 < factor < 1_000
        width = int(2 * float(factor) * view.need(*HIDDEN) / 3) if known else 0  # type: ignore[arg-type]  # known
        found.append(-(-width // 256) * 256)
    return tuple(found) or None
