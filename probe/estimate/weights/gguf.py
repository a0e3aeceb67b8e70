"""What a model weighs in one of llama.cpp's quantizations, tensor by tensor."""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.catalog.quantizations import Recipe, RecipeFacts, find_recipe
from probe.estimate.tensors import ModelLayout, Parts, Role, TensorPart, model_layout
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.gguf_types import (
    Position,
    counted_downs,
    counted_values,
    layer_types,
    outside_type,
    recipe_facts,
    tensor_bytes,
)
from probe.estimate.weights.stored import stored_weights
from probe.estimate.weights.table import weights_from_table

# Tensors outside the layers that llama.cpp keeps with the first layer; the others go with the
# head: LLM_TENSOR_INFOS, src/llama-arch.cpp#L749 at b11434.
_WITH_FIRST_LAYER: Final = ("rope_f", "per_layer_model_proj", "per_layer_proj_norm")
_BYTES_PER_TOKEN: Final = 45  # text, type and merge: SmolLM2 has 36, Llama 3.1 61
_BYTES_PER_UNMERGED_TOKEN: Final = 25  # text, type and score: Gemma 3
_OTHER_METADATA_BYTES: Final = 8_192  # chat template and the like
_PLAIN: Final = frozenset({"F32", "F16", "BF16"})
_FIRST: Final = Position(value=0, values=1, network=0, layer=0, layers=1)


class LayerBytes(NamedTuple):
    """One layer: everything, the routed experts' part, and the part read for one token."""

    total: int
    experts: int
    active: int


def gguf_weights(spec: ModelSpec, quantization: str, *, imatrix: bool | None = None) -> WeightBytes:
    """Bytes of a GGUF of this model in that quantization, split as llama.cpp places it.

    For a file that a user pointed at, in its own quantization: its very tensors.
    `file_bytes` is the sum of all tensors, prediction blocks included; the header with
    the tokenizer comes on top (`gguf_header_bytes`).

    Args:
        quantization: a recipe's name as in file names (`Q4_K_M`), any case.
        imatrix: the file was made with an importance matrix, which changes a few types;
            None: only where the quantizer refuses to work without one.

    Raises:
        NotModeledError: not an architecture of llama.cpp that we know, or shapes unknown.
        UnknownNameError: no such quantization.

    Source: llama.cpp b11434, src/llama-quant.cpp. Checked against the buffers and files
        of tests/truth/llamacpp_memory.csv.gz.
    """
    if spec.stored_tensors is not None and spec.origin == "gguf" and quantization == spec.file_quantization:
        return stored_weights(spec)
    if imatrix is None and spec.origin == "catalog":
        stored = weights_from_table(spec.id, quantization)
        if stored is not None:
            return stored
    return computed_weights(spec, quantization, imatrix=imatrix)


def computed_weights(spec: ModelSpec, quantization: str, *, imatrix: bool | None = None) -> WeightBytes:
    """The same, always computed from the shapes.

    Raises:
        NotModeledError, UnknownNameError: as `gguf_weights`.
    """
    recipe = find_recipe(quantization)
    return _weights(model_layout(spec), recipe.name, recipe.imatrix_expected if imatrix is None else imatrix)


def gguf_header_bytes(spec: ModelSpec) -> int:
    """What a GGUF's header adds to its tensors, estimated: tensor names exactly, the tokenizer by its size.

    It is 0.1 % of an 8B model, 2 % of the smallest ones, and never loaded with the weights.

    Raises:
        NotModeledError: not an architecture of llama.cpp that we know, or shapes unknown.
    """
    layout = model_layout(spec)
    names = sum(_info_bytes(part.name, part.shape) for part in layout.outside)
    for position, parts in _positions(layout):
        prefix = f"blk.{position.layer}."
        names += sum(_info_bytes(prefix + part.name, part.shape) for part in parts)
    each = _BYTES_PER_UNMERGED_TOKEN if layout.architecture.startswith("gemma") else _BYTES_PER_TOKEN
    return names + each * layout.dimensions.vocab_size + _OTHER_METADATA_BYTES


def _info_bytes(name: str, shape: tuple[int, ...]) -> int:
    """A tensor's entry: name with its length, dimensions, type, offset (ggml's docs/gguf.md)."""
    return 8 + len(name) + 4 + 8 * len(shape) + 4 + 8


def gguf_types(spec: ModelSpec, quantization: str, *, imatrix: bool | None = None) -> dict[str, str]:
    """The element type of every tensor of such a file, by the tensor's name.

    Raises:
        NotModeledError, UnknownNameError: as `gguf_weights`.
    """
    layout, recipe = model_layout(spec), find_recipe(quantization)
    has_matrix = recipe.imatrix_expected if imatrix is None else imatrix
    facts, plain = _facts(layout, imatrix=has_matrix), _plain(recipe)
    found = {part.name: outside_type(part, layout, recipe, facts, plain) for part in layout.outside}
    for position, parts in _positions(layout):
        types = layer_types(parts, recipe, facts, position, plain=plain)
        for part, kind in zip(parts, types, strict=True):
            found[f"blk.{position.layer}.{part.name}"] = kind
    return found


def gguf_tensor_bytes(spec: ModelSpec, quantization: str) -> tuple[tuple[str, int], ...]:
    """Bytes of each kind of tensor: by the name after `blk.N.`, or the whole name outside the layers.

    Where layers differ, as in the first layer: no recipe stores a later one in more bits.

    Raises:
        NotModeledError, UnknownNameError: as `gguf_weights`.
    """
    recipe = find_recipe(quantization)
    return _tensor_bytes_by_name(model_layout(spec), recipe.name, recipe.imatrix_expected)


@lru_cache(maxsize=1024)
def _tensor_bytes_by_name(
    layout: ModelLayout, quantization: str, imatrix: bool
) -> tuple[tuple[str, int], ...]:
    recipe = find_recipe(quantization)
    facts, plain = _facts(layout, imatrix=imatrix), _plain(recipe)
    found = {
        part.name: tensor_bytes(outside_type(part, layout, recipe, facts, plain), part.shape)
        for part in layout.outside
    }
    for parts in map(_by_name, layout.templates):
        types = layer_types(parts, recipe, facts, _FIRST._replace(layers=len(layout.layers)), plain=plain)
        for part, kind in zip(parts, types, strict=True):
            found[part.name] = max(found.get(part.name, 0), tensor_bytes(kind, part.shape))
    return tuple(found.items())


def _plain(recipe: Recipe) -> str:
    return recipe.base if recipe.base in _PLAIN else "F16"


def _facts(layout: ModelLayout, *, imatrix: bool) -> RecipeFacts:
    facts = recipe_facts(layout.architecture, layout.dimensions)
    return msgspec.structs.replace(facts, imatrix=True) if imatrix else facts


def _by_name(parts: Parts) -> Parts:
    return tuple(sorted(parts, key=lambda part: part.name))


@lru_cache(maxsize=1024)
def _positions(layout: ModelLayout) -> tuple[tuple[Position, Parts], ...]:
    """Every layer with its tensors sorted by name and its place in the quantizer's counts."""
    templates = [_by_name(parts) for parts in layout.templates]
    rows = [templates[index] for index in layout.layers] + [_by_name(parts) for parts in layout.prediction]
    values = {id(parts): counted_values(parts) for parts in rows}
    downs = {id(parts): counted_downs(parts) for parts in rows}
    all_values = sum(values[id(parts)] for parts in rows)
    found: list[tuple[Position, Parts]] = []
    value = down = 0
    for layer, parts in enumerate(rows):
        found.append((Position(value, all_values, down, layer, len(rows)), parts))
        value += values[id(parts)]
        down += downs[id(parts)]
    return tuple(found)


@lru_cache(maxsize=8192)
def _weights(layout: ModelLayout, quantization: str, imatrix: bool) -> WeightBytes:
    recipe = find_recipe(quantization)
    facts, plain = _facts(layout, imatrix=imatrix), _plain(recipe)
    layers = _layer_bytes(layout, recipe, facts, plain)
    repeating, ahead = layers[: len(layout.layers)], layers[len(layout.layers) :]
    totals = [layer.total for layer in repeating]
    active = [layer.active for layer in repeating]

    head = 0
    tables = dict.fromkeys((Role.TOKEN_EMBD, Role.PER_LAYER_EMBD, Role.POSITION_EMBD), 0)
    for part in layout.outside:
        size = tensor_bytes(outside_type(part, layout, recipe, facts, plain), part.shape)
        if part.role in tables:
            tables[part.role] += size
        elif _with_first_layer(part, layout):
            totals[0] += size
            active[0] += size
        else:
            head += size
    mtp = sum(layer.total for layer in ahead)
    return WeightBytes(
        quantization=quantization,
        file_bytes=sum(totals) + sum(tables.values()) + head + mtp,
        layers=tuple(totals),
        layer_experts=tuple(layer.experts for layer in repeating),
        layer_active=tuple(active),
        token_embedding_bytes=tables[Role.TOKEN_EMBD],
        per_layer_embedding_bytes=tables[Role.PER_LAYER_EMBD],
        position_embedding_bytes=tables[Role.POSITION_EMBD],
        output_bytes=head,
        output_is_tied=layout.tied,
        mtp_bytes=mtp,
    )


def _layer_bytes(
    layout: ModelLayout, recipe: Recipe, facts: RecipeFacts, plain: str
) -> tuple[LayerBytes, ...]:
    known: dict[tuple[object, ...], LayerBytes] = {}
    used, count = _experts(layout.dimensions)
    found: list[LayerBytes] = []
    for position, parts in _positions(layout):
        key = (id(parts), *position.bracket(recipe))
        layer = known.get(key)
        if layer is None:
            types = layer_types(parts, recipe, facts, position, plain=plain)
            sizes = [tensor_bytes(kind, part.shape) for kind, part in zip(types, parts, strict=True)]
            total = sum(sizes)
            experts = sum(size for size, part in zip(sizes, parts, strict=True) if part.role is Role.EXPERT)
            layer = known[key] = LayerBytes(total, experts, total - experts + experts * used // count)
        found.append(layer)
    return tuple(found)


def _experts(d: Dimensions) -> tuple[int, int]:
    """Routed experts that one token reads, of how many."""
    if not d.num_experts:
        return 1, 1
    return min(d.experts_per_token or d.num_experts, d.num_experts), d.num_experts


def _with_first_layer(part: TensorPart, layout: ModelLayout) -> bool:
    """Also the norm of the embeddings, but LFM2 calls its last norm so."""
    if part.name.startswith("token_embd_norm"):
        return not layout.architecture.startswith("lfm2")
    return part.name.startswith(_WITH_FIRST_LAYER)
