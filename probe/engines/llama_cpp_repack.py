"""What llama.cpp's CPU code takes more when it rearranges weights for the processor.

With AMX some block types get longer; a tied head is kept a second time beside the input
table, which stays as it is. AVX2 and NEON rearrange without growth, so there only a second
head counts, and only where its type is one that they rearrange.

Source: ggml/src/ggml-cpu/amx/amx.cpp#L145, amx/mmq.cpp#L246 and #L2267, repack.cpp#L4974,
create_tensor of src/llama-model-loader.cpp#L1160, llama.cpp b11434.
"""

from functools import lru_cache
from math import prod
from typing import Final, NamedTuple

from probe.catalog.model_spec import ModelSpec
from probe.catalog.quantizations import gguf_type
from probe.engines.llama_cpp_split import LayerPlan
from probe.estimate.compute_graph.shapes import Shapes, shapes_of
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_types
from probe.machine.ranges import ByteRange

# type -> (divisor of a row, extra bytes a block)
_AMX: Final = {
    "Q4_0": (32, 0), "Q4_1": (32, 0), "Q8_0": (32, 4), "Q4_K": (256, 4), "Q5_K": (256, 4),
    "Q6_K": (256, 0), "IQ4_XS": (256, 2),
}  # fmt: skip
_AMX_COLUMNS: Final = 32  # TILE_N * 2
_AVX2: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_AVX2_COLUMNS: Final = 8
_LOOKED_UP: Final = ("token_embd.", "per_layer_token_embd.", "position_embd.", "token_types.")


class _Growth(NamedTuple):
    layers: tuple[int, ...]
    head: int
    tied_head: int  # bytes of a second head on a processor with AMX; 0 when the head has its own tensor
    tied_head_avx2: int
    table: int  # bytes of the input table


def repack_bytes(spec: ModelSpec, weights: WeightBytes, plan: LayerPlan, *, head_first: bool) -> ByteRange:
    """Growth of the weights in host memory: none or a second head, up to what AMX takes.

    Unknown element types: nothing to 2 %, which is what AMX added to the models measured.

    Args:
        head_first: the plan already counts a tied head twice.
    """
    try:
        growth = _growth(shapes_of(spec), _types_of(spec, weights.quantization))
    except NotModeledError:
        whole = plan.weights["cpu"]
        return ByteRange(low=0, value=whole // 100, high=whole // 50)
    most = sum(growth.layers[layer] for layer in plan.layers_of("cpu") if layer < len(growth.layers))
    least = 0
    if plan.output_device == "cpu":
        counted = growth.table if head_first and growth.tied_head else 0
        most += growth.head + growth.tied_head - counted
        least += max(growth.tied_head_avx2 - counted, 0)
    return ByteRange(low=min(least, most), value=most, high=most)


def _types_of(spec: ModelSpec, quantization: str) -> tuple[tuple[str, str], ...]:
    if spec.origin == "gguf" and spec.stored_tensors is not None:
        return tuple((tensor.name, tensor.type) for tensor in spec.stored_tensors)
    return tuple(gguf_types(spec, quantization).items())


@lru_cache(maxsize=64)
def _growth(shapes: Shapes, types: tuple[tuple[str, str], ...]) -> _Growth:
    layers = [0] * len(shapes.layers)
    head = 0
    for name, kind in types:
        if name.startswith("blk."):
            _, number, short = name.split(".", 2)
            index = int(number)
            if index < len(layers) and short in shapes.layers[index]:
                layers[index] += _amx_growth(kind, shapes.layers[index][short], short)
        elif not name.startswith(_LOOKED_UP) and name in shapes.outside:
            head += _amx_growth(kind, shapes.outside[name], name)
    if "output.weight" in shapes.outside or "token_embd.weight" not in shapes.outside:
        return _Growth(tuple(layers), head, 0, 0, 0)
    table, kind = shapes.outside["token_embd.weight"], dict(types)["token_embd.weight"]
    row = gguf_type(kind)
    size = prod(table) // row.block_weights * row.block_bytes
    amx = size + _amx_growth(kind, table, "output.weight") if _takes_amx(kind, table) else 0
    avx2 = size if kind in _AVX2 and table[1] % _AVX2_COLUMNS == 0 else 0
    return _Growth(tuple(layers), head, amx or avx2, avx2, size)


def _takes_amx(kind: str, shape: tuple[int, ...]) -> bool:
    rule = _AMX.get(kind)
    return rule is not None and len(shape) == 2 and shape[0] % rule[0] == 0 and shape[1] % _AMX_COLUMNS == 0


def _amx_growth(kind: str, shape: tuple[int, ...], name: str) -> int:
    """Extra bytes of a matrix; stacks of experts are rearranged without growth."""
    if "_exps." in name or not _takes_amx(kind, shape):
        return 0
    return prod(shape) // gguf_type(kind).block_weights * _AMX[kind][1]
