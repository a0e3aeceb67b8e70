"""What a model weighs as a safetensors checkpoint, in 16 bits or in a quantized format.

Formats, per matrix of `rows` outputs and `columns` inputs:

* awq: AutoAWQ's GEMM layout, qweight int32, qzeros 4 bit and scales fp16 a group.
* gptq-int4, gptq-int8: the same, zeros of the code's width, and g_idx, an int32 a column.
* w4a16: compressed-tensors pack-quantized, one bf16 scale a group, weight_shape of two int64.
* awq, gptq-*, w4a16: groups of 128 inputs; of 64 or 32 where 128 would leave much of the model in 16 bits.
* int4-experts: routed experts as w4a16 in groups of 32, all else in 16 bits (Kimi K2 Thinking and later).
* mxfp4-fp8: routed experts as mxfp4, other linear weights as fp8 (DeepSeek V4).
* fp8, int8: compressed-tensors, one bf16 scale a row; fp8-block: one fp32 scale a 128 x 128 block.
* nvfp4: fp8 scale a 16 weights, two fp32 scales a matrix; mxfp4: one byte a 32 weights.
* bnb-*: bitsandbytes' blocks of 64 weights over the whole matrix.
* mlx-*: MLX's affine groups, 16-bit scale and bias; input table and head included, routers at 8 bits.
* exl2-*, exl3-*: the bits a weight in the format's name, six for the head, which tied models
  store beside the table; exl3 adds a 16-bit sign vector each for rows and columns.

Sources: catalogs/quantizations/checkpoints.json; vllm 0.33.0 model_executor/layers/
quantization/{awq,gptq,fp8,modelopt,compressed_tensors}. The number of fp8 block scales
agrees with what DeepSeek-V3, V3.2 and Kimi-K2 store, to the scale.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from probe.catalog.model_spec import ModelSpec
from probe.catalog.quantizations import CheckpointFormat, find_checkpoint_format
from probe.errors import UnknownNameError
from probe.estimate.not_modeled import UNKNOWN_FORMAT, NotModeledError
from probe.estimate.tensors import ModelLayout, Parts, Role, TensorPart
from probe.estimate.tensors.checkpoint_layout import checkpoint_layout
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.stored import stored_weights

_LINEAR_ROLES: Final = frozenset(
    {Role.ATTN, Role.FFN, Role.EXPERT, Role.SHARED_EXPERT, Role.SSM, Role.INDEXER}
)
_NO_LINEARS: Final = (
    "ssm_conv1d", "ssm_a", "ssm_d", "ssm_x", "ssm_dt", "shortconv.conv", "time_mix_", "attn_sinks",
    "ssm_beta", "ssm_alpha", "ssm_ba", "indexer.proj", "attn_compressor_ape", "indexer_compressor_ape",
)  # fmt: skip
_FP8_BLOCK: Final = 128
_ROW_SCALE_BYTES: Final = {"fp8": 2, "int8": 2, "bnb-int8": 4}
_MATRIX_BYTES: Final = {"nvfp4": 8, "w4a16": 16, "int4-experts": 16, "bnb-nf4": 64, "bnb-nf4-double": 1_124}
_COLUMN_BYTES: Final = {"gptq-int4": 4, "gptq-int8": 4}
_FLAT_BLOCKS: Final = frozenset({"bnb-nf4", "bnb-nf4-double"})
_EXPERTS_ONLY: Final = frozenset({"mxfp4", "mxfp4-fp8", "int4-experts"})
_REST_IN_FP8: Final = "mxfp4-fp8"
# Integer formats whose makers choose the group: 64 for Falcon-7B (4,544 inputs), 32 for narrow experts.
_CHOSEN_GROUPS: Final = frozenset({"awq", "gptq-int4", "gptq-int8", "w4a16"})
_GROUPS: Final = (128, 64, 32)
_MOST_UNDIVIDED: Final = 0.05  # of the linear weights; a few odd matrices stay at 16 bits in practice too
_EXL: Final = re.compile(r"exl[23]-(\d+(?:\.\d+)?)(?:bpw)?")
_EXL_HEAD_BITS: Final = 6.0
_EXL3: Final = "exl3-"
_EXL3_TILE: Final = 128  # rows and columns are filled up (exllamav3 modules/linear.py pad_to, at 4f8ad012)
_EXL3_FLAG_BYTES: Final = 4  # which codebook (modules/quant/exl3.py: mcg, mul1)


class _Format(NamedTuple):
    """A format as the arithmetic needs it."""

    name: str
    bits: float
    group: int | None
    overhead_bits: float
    embeddings: bool
    head_bits: float | None = None


def checkpoint_weights(spec: ModelSpec, format: str) -> WeightBytes:  # noqa: A002  # the field's word
    """Bytes of the model in a checkpoint format, split by layer; a file's own tensors where it is that file.

    Embeddings, head, routers, norms and convolutions stay at 16 bits unless the format
    says otherwise; towers for images and sound stay at 16 bits. `exact` is false where
    the model's tensors are not known one by one.

    Args:
        format: `bf16`, `fp8`, `awq`, `gptq-int4`, `nvfp4`, `mlx-4bit`, `exl3-4.0bpw` ...

    Raises:
        UnknownNameError: no such format.
        NotModeledError: neither tensors nor a parameter count are known.
    """
    chosen = _format(format)
    if spec.stored_tensors is not None and spec.origin != "gguf" and _is_own(spec, chosen):
        return stored_weights(spec)
    layout = checkpoint_layout(spec)
    if layout is None:
        return _by_count(spec, chosen)
    return _weights(layout, chosen, spec.params_other or 0, spec.params_mtp or 0)


def _is_own(spec: ModelSpec, chosen: _Format) -> bool:
    if spec.file_quantization is None:
        return False
    try:
        return _format(spec.file_quantization).name == chosen.name
    except UnknownNameError:
        return False


@lru_cache(maxsize=256)
def _format(name: str) -> _Format:
    found = _EXL.fullmatch(name.strip().lower())
    if found is not None:
        return _Format(name.lower(), float(found.group(1)), None, 0.0, False, _EXL_HEAD_BITS)
    row: CheckpointFormat = find_checkpoint_format(name)
    return _Format(
        row.name, row.weight_bits, row.group_size, row.group_overhead_bits, row.quantized_embeddings
    )


def _plain_bytes(chosen: _Format) -> int:
    """Bytes of a weight that the format leaves alone."""
    return 4 if chosen.name == "fp32" else 2


def _is_plain(chosen: _Format) -> bool:
    return chosen.group is None and chosen.bits >= 16


def part_bytes(part: TensorPart, chosen: _Format) -> int:
    """Bytes of one tensor of a layer."""
    if part.role is Role.ROPE:
        return 0
    if part.role is Role.ROUTER and chosen.name.startswith("mlx-") and _is_matrix(part):
        # quant_predicate of mlx_lm/models/qwen3_moe.py and twenty others, d78bf58e: 8 bits, groups of 64.
        return matrix_bytes(part.shape[1], part.shape[0], chosen._replace(bits=max(chosen.bits, 8), group=64))
    quantized = (
        not _is_plain(chosen)
        and _is_linear(part)
        and (chosen.name not in _EXPERTS_ONLY or part.role is Role.EXPERT)
    )
    if not quantized and chosen.name == _REST_IN_FP8 and _is_linear(part):
        return part.elements
    if not quantized:
        return part.elements * _plain_bytes(chosen)
    columns, rows, count = _matrix(part)
    return count * matrix_bytes(rows, columns, chosen)


def _is_linear(part: TensorPart) -> bool:
    return part.role in _LINEAR_ROLES and _is_matrix(part) and not part.name.startswith(_NO_LINEARS)


def _in_fitting_groups(layout: ModelLayout, chosen: _Format) -> _Format:
    """The format with the largest group that divides nearly all linear weights of the model."""
    if chosen.name not in _CHOSEN_GROUPS:
        return chosen
    layers = [layout.templates[index] for index in layout.layers]
    parts = [(_matrix(part)[0], part.elements) for layer in layers for part in layer if _is_linear(part)]
    total = sum(size for _, size in parts)
    for group in _GROUPS:
        if sum(size for columns, size in parts if columns % group) <= _MOST_UNDIVIDED * total:
            return chosen._replace(group=group)
    return chosen


def _is_matrix(part: TensorPart) -> bool:
    return len(part.shape) > 1 and part.name.endswith(".weight")


def _matrix(part: TensorPart) -> tuple[int, int, int]:
    """Inputs, outputs and how many equal matrices, as checkpoints store them."""
    columns, rows = part.shape[0], part.shape[1]
    count = part.shape[2] if len(part.shape) > 2 else 1
    if part.name.startswith(("attn_k_b", "attn_v_b")):
        # Both halves of kv_b_proj, whose inputs are the latent rank.
        rank = rows if part.name.startswith("attn_k_b") else columns
        return rank, part.elements // rank, 1
    return columns, rows, count


def matrix_bytes(rows: int, columns: int, chosen: _Format) -> int:
    """Bytes of one quantized matrix with its scales and zero points; 16 bits where its rows do not divide."""
    if chosen.name.startswith(_EXL3):
        return _exl3_bytes(rows, columns, chosen.bits)
    weights, group = rows * columns, chosen.group
    if chosen.name == "fp8-block":
        blocks = -(-rows // _FP8_BLOCK) * -(-columns // _FP8_BLOCK)
        return weights + 4 * blocks
    if group is not None and chosen.name not in _FLAT_BLOCKS and columns % group:
        return 2 * weights
    groups = 0
    if group is not None:
        groups = -(-weights // group) if chosen.name in _FLAT_BLOCKS else rows * (columns // group)
    return (
        _bytes(weights * chosen.bits + groups * chosen.overhead_bits)
        + rows * _ROW_SCALE_BYTES.get(chosen.name, 0)
        + columns * _COLUMN_BYTES.get(chosen.name, 0)
        + _MATRIX_BYTES.get(chosen.name, 0)
    )


def _exl3_bytes(rows: int, columns: int, bits: float) -> int:
    """Trellis, and the vectors suh and svh; an average of bits stands for matrices of whole bits."""
    rows, columns = (-(-size // _EXL3_TILE) * _EXL3_TILE for size in (rows, columns))
    return _bytes(rows * columns * bits) + 2 * (rows + columns) + _EXL3_FLAG_BYTES


def _bytes(bits: float) -> int:
    return -int(-bits // 8)


def _table_bytes(part: TensorPart, chosen: _Format) -> int:
    """Bytes of the input table or the head."""
    if len(part.shape) < 2 or _is_plain(chosen):
        return part.elements * _plain_bytes(chosen)
    if part.role is Role.OUTPUT and chosen.head_bits is not None:
        return _head_bytes(part, chosen)
    if chosen.embeddings:
        return matrix_bytes(part.shape[1], part.shape[0], chosen)
    return part.elements * 2


def _head_bytes(part: TensorPart, chosen: _Format) -> int:
    """Bytes of a head with bits of its own: an EXL format's."""
    bits = chosen.head_bits or 16.0
    if chosen.name.startswith(_EXL3):
        return _exl3_bytes(part.shape[1], part.shape[0], bits)
    return _bytes(part.elements * bits)


@lru_cache(maxsize=4096)
def _weights(layout: ModelLayout, chosen: _Format, other: int, ahead: int) -> WeightBytes:
    d = layout.dimensions
    used = min(d.experts_per_token or 1, d.num_experts or 1)
    chosen = _in_fitting_groups(layout, chosen)
    rows = [_sizes(parts, chosen) for parts in layout.templates]
    totals = [rows[index][0] for index in layout.layers]
    experts = [rows[index][1] for index in layout.layers]
    active = [
        total - part + (part * used // d.num_experts if d.num_experts else part)
        for total, part in zip(totals, experts, strict=True)
    ]
    embedding = tables = positions = head = 0
    for part in layout.outside:
        if part.role is Role.TOKEN_EMBD:
            embedding += _table_bytes(part, chosen)
            if layout.tied and chosen.head_bits is not None:
                head += _head_bytes(part, chosen)
        elif part.role is Role.PER_LAYER_EMBD:
            tables += _table_bytes(part, chosen)
        elif part.role is Role.POSITION_EMBD:
            positions += part.elements * _plain_bytes(chosen)
        elif part.role is Role.OUTPUT:
            head += _table_bytes(part, chosen)
        else:
            head += part_bytes(part, chosen)
    # Checkpoints keep the prediction blocks that some converters drop.
    mtp = sum(_sizes(parts, chosen)[0] for parts in layout.prediction) or _bytes(ahead * chosen.bits)
    vision = other * _plain_bytes(chosen)
    return WeightBytes(
        quantization=chosen.name,
        file_bytes=sum(totals) + embedding + tables + positions + head + mtp + vision,
        layers=tuple(totals),
        layer_experts=tuple(experts),
        layer_active=tuple(active),
        token_embedding_bytes=embedding,
        per_layer_embedding_bytes=tables,
        position_embedding_bytes=positions,
        output_bytes=head,
        output_is_tied=layout.tied and chosen.head_bits is None,
        mtp_bytes=mtp,
        vision_bytes=vision,
    )


def _sizes(parts: Parts, chosen: _Format) -> tuple[int, int]:
    """Bytes of a layer, and of its routed experts."""
    total = experts = 0
    for part in parts:
        size = part_bytes(part, chosen)
        total += size
        if part.role is Role.EXPERT:
            experts += size
    return total, experts


def _by_count(spec: ModelSpec, chosen: _Format) -> WeightBytes:
    """From the parameter count alone, spread evenly over the layers; not exact."""
    count, d = spec.params_text or spec.params_total, spec.dimensions
    if count is None:
        raise NotModeledError(
            UNKNOWN_FORMAT, architecture=spec.architecture or spec.model_type, format=chosen.name
        )
    layers = d.num_hidden_layers if d is not None else 1
    table = d.hidden_size * d.vocab_size if d is not None else 0
    tied = d.tie_word_embeddings if d is not None else True
    inner = max(count - table * (1 if tied else 2), 0)
    bits = chosen.bits + (chosen.overhead_bits / chosen.group if chosen.group else 0.0)
    each = _bytes(inner * bits) // layers
    plain = table * (_plain_bytes(chosen) if not chosen.embeddings else 0) + (
        _bytes(table * bits) if chosen.embeddings else 0
    )
    share = spec.params_active / count if spec.params_active is not None else 1.0
    vision = (spec.params_other or 0) * _plain_bytes(chosen)
    return WeightBytes(
        quantization=chosen.name,
        file_bytes=each * layers + plain * (1 if tied else 2) + vision,
        layers=(each,) * layers,
        layer_experts=(0,) * layers,
        layer_active=(int(each * min(share, 1.0)),) * layers,
        token_embedding_bytes=plain,
        output_bytes=0 if tied else plain,
        output_is_tied=tied,
        vision_bytes=vision,
        exact=False,
    )
