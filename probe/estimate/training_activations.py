"""What a training step keeps for its backward pass, derived from tensor shapes.

The idea is that of Korthikanti et al. 2022, "Reducing Activation Recomputation in Large
Transformer Models" (arXiv 2205.05198, section 4): count every tensor that an operation
saves. Their 34 sbh is for GPT-3 with dropout; ours follows the modules of transformers
(RMS norms in fp32, grouped-query attention, gated networks, flash attention) and is checked
against PyTorch's saved-tensor hooks by scripts/check_training_memory.py.

All figures here are bytes for one token.
"""

from typing import Final, NamedTuple

from probe.estimate.tensors import ModelLayout, Parts, Role, TensorPart

_HALF: Final = 2
_FULL: Final = 4
_QK_NORMS: Final = ("attn_q_norm", "attn_k_norm")
_TARGETS: Final = {
    "q_proj": ("attn_q",),
    "k_proj": ("attn_k",),
    "v_proj": ("attn_v",),
    "qkv_proj": ("attn_qkv",),
    "o_proj": ("attn_output",),
    "gate_proj": ("ffn_gate", "ffn_gate_exps", "ffn_gate_shexp"),
    "up_proj": ("ffn_up", "ffn_up_exps", "ffn_up_shexp"),
    "down_proj": ("ffn_down", "ffn_down_exps", "ffn_down_shexp"),
}
TARGET_NAMES: Final = tuple(_TARGETS)
ALL_LINEAR: Final = "all-linear"
_LINEAR: Final = frozenset({Role.ATTN, Role.FFN, Role.SHARED_EXPERT, Role.SSM})


class Kept(NamedTuple):
    """How tensors are kept during a step.

    `trains_all`: weights get gradients, so the input of every matrix is kept. `residual`:
    bytes of the stream between layers, four under autocast with fp32 weights. `cast_copies`:
    every matrix makes a 16-bit copy of its fp32 input (autocast caches weights only).
    """

    trains_all: bool
    residual: int
    cast_copies: bool
    targets: tuple[str, ...]
    rank: int
    flash_attention: bool
    sequence: int


class LayerBytes(NamedTuple):
    """One layer, bytes a token: kept, gradients in flight; `exact` where each operation is followed."""

    saved: int
    in_flight: int
    exact: bool


def is_target(part: TensorPart, targets: tuple[str, ...]) -> bool:
    """Whether an adapter sits on this matrix. `all-linear` leaves routed experts alone, as PEFT does
    where they are one stacked parameter; the name of a projection includes them.
    """
    name = part.name.removesuffix(".weight")
    if len(part.shape) < 2 or not part.name.endswith(".weight"):
        return False
    if ALL_LINEAR in targets:
        return part.role in _LINEAR and "conv" not in name
    return any(name in _TARGETS.get(target, ()) for target in targets)


def layer_bytes(layout: ModelLayout, parts: Parts, kept: Kept) -> LayerBytes:
    """What one layer keeps of each token, and how much its backward pass allocates beside it."""
    named = {part.name.removesuffix(".weight"): part for part in parts if part.name.endswith(".weight")}
    hidden = layout.dimensions.hidden_size
    saved = _norm_bytes(parts, hidden, kept)
    output = named.get("attn_output")
    grouped = output is not None and ("attn_qkv" in named or {"attn_q", "attn_k"} <= named.keys())
    if grouped and output is not None:
        saved += _attention_bytes(layout, named, output, kept)
    mixer = [part for part in parts if part.role in (Role.ATTN, Role.SSM, Role.INDEXER)]
    other = [part for part in mixer if len(part.shape) > 1 and not (grouped and part.role is Role.ATTN)]
    saved += sum(_HALF * (_rows(part) + _kept_input(part, kept)) for part in other)
    feed, widest = _feed_forward_bytes(layout, named, kept)
    saved += feed
    return LayerBytes(saved, 3 * _HALF * widest + 2 * kept.residual * hidden, not other)


def _rows(part: TensorPart) -> int:
    return part.elements // part.shape[0]


def _kept_input(part: TensorPart, kept: Kept) -> int:
    """Elements of a matrix' input kept for its gradient, or for its adapter's."""
    if kept.trains_all:
        return part.shape[0]
    return part.shape[0] + kept.rank if is_target(part, kept.targets) else 0


def _norm_bytes(parts: Parts, hidden: int, kept: Kept) -> int:
    """Each norm: its input in fp32, the inverse root, and with a trained scale the normalized input."""
    count = sum(
        1
        for part in parts
        if part.role is Role.NORM and part.name.endswith("norm.weight") and part.shape == (hidden,)
        if not part.name.startswith(_QK_NORMS)
    )
    return count * ((_FULL + (kept.residual if kept.trains_all else 0)) * hidden + _FULL)


def _attention_bytes(
    layout: ModelLayout, named: dict[str, TensorPart], output: TensorPart, kept: Kept
) -> int:
    heads = layout.dimensions.num_attention_heads
    width = output.shape[0]
    fused = named.get("attn_qkv")
    projections = [
        part for name in ("attn_q", "attn_k", "attn_v", "attn_qkv") if (part := named.get(name)) is not None
    ]
    keys_values = (
        _rows(fused) - width
        if fused is not None
        else sum(_rows(named[name]) for name in ("attn_k", "attn_v") if name in named)
    )
    # Rotated queries and keys, values, and the result; flash attention adds one fp32 a head.
    saved = _HALF * (2 * width + keys_values) + _FULL * heads
    if not kept.flash_attention:
        # Scores after softmax in fp32 and in 16 bits.
        saved += (_FULL + _HALF) * heads * kept.sequence
    for name, size in (("attn_q_norm", width), ("attn_k_norm", keys_values // 2)):
        if name in named:
            saved += (_FULL + (_HALF if kept.trains_all else 0)) * size + _FULL * size // max(
                1, named[name].shape[0]
            )
    saved += _inputs(projections, kept)
    if not kept.trains_all and is_target(output, kept.targets):
        saved += _HALF * (width + kept.rank)
    return saved


def _inputs(projections: list[TensorPart], kept: Kept) -> int:
    """The input that several matrices share: once, or once a matrix where each casts its own copy."""
    if not projections:
        return 0
    if kept.trains_all:
        copies = len(projections) if kept.cast_copies else 1
        return _HALF * copies * projections[0].shape[0]
    return sum(_HALF * _kept_input(part, kept) for part in projections)


def _feed_forward_bytes(layout: ModelLayout, named: dict[str, TensorPart], kept: Kept) -> tuple[int, int]:
    """Bytes kept, and the elements of its widest intermediate tensor."""
    d = layout.dimensions
    saved = widest = 0
    for suffix, times in (("", 1), ("_exps", d.experts_per_token or 1), ("_shexp", 1)):
        up, down = named.get(f"ffn_up{suffix}"), named.get(f"ffn_down{suffix}")
        if up is None or down is None:
            continue
        gate = named.get(f"ffn_gate{suffix}")
        inner = down.shape[0]
        gated = gate is not None or up.shape[1] == 2 * inner
        # Gate, its activation and the other half; without a gate the activation's input.
        kept_here = _HALF * inner * (3 if gated else 1)
        kept_here += _inputs([part for part in (gate, up) if part is not None], kept)
        if kept.trains_all:
            kept_here += _HALF * inner
        elif is_target(down, kept.targets):
            kept_here += _HALF * (inner + kept.rank)
        if suffix == "_exps":
            # What each chosen expert gives, kept to weigh it; the router's shares in fp32.
            kept_here += _HALF * d.hidden_size
            saved += 2 * _FULL * (d.num_experts or 0)
        saved += times * kept_here
        widest += times * inner
    return saved, widest


def outside_bytes(layout: ModelLayout, kept: Kept) -> int:
    """The last norm, the head's input and the token's number, bytes a token."""
    hidden = layout.dimensions.hidden_size
    if kept.trains_all:
        return (_FULL + kept.residual + _HALF) * hidden + _FULL + 8
    return _FULL * hidden + _FULL + 8
