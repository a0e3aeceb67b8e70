"""The tensors of a model, as a compact layout and as a list."""

from functools import lru_cache

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, UNKNOWN_SHAPES, NotModeledError
from probe.estimate.tensors.architectures import ARCHITECTURES, Architecture
from probe.estimate.tensors.layer import LayerVariant, variant_of
from probe.estimate.tensors.shape import Parts, Role, TensorPart, TensorShape, bias, norm, weight


class ModelLayout(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All tensors of a model; equal layers share one tuple of parts. Compared by identity.

    `templates` are the distinct layers and `layers` the template of each repeating
    layer; `prediction` holds the multi-token-prediction blocks of the file.
    """

    architecture: str
    dimensions: Dimensions
    outside: Parts
    templates: tuple[Parts, ...]
    layers: tuple[int, ...]
    prediction: tuple[Parts, ...]
    tied: bool  # no output.weight: the input table is the head as well

    def __hash__(self) -> int:
        return id(self)  # newer msgspec hashes the fields of frozen structs even with eq=False


def model_layout(spec: ModelSpec) -> ModelLayout:
    """The tensors of a GGUF of this model, layer by layer; cached by shapes.

    Raises:
        NotModeledError: llama.cpp's architecture is none that we have tensors for, or
            the model's shapes are not known.
    """
    architecture, dimensions = spec.architecture, spec.dimensions
    if architecture is None or architecture not in ARCHITECTURES:
        raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=architecture or spec.model_type)
    if dimensions is None:
        raise NotModeledError(UNKNOWN_SHAPES, architecture=architecture, missing="dimensions")
    return _layout(
        spec.id, architecture, _Key(dimensions), _prediction_blocks(spec, dimensions), spec.params_mtp
    )


def _prediction_blocks(spec: ModelSpec, d: Dimensions) -> int:
    """Multi-token-prediction blocks that the converter writes into the file.

    Source: llama.cpp b11434: DeepSeek-V3's class drops them (conversion/deepseek.py#L395),
    GLM-4.7-Flash, of the same architecture, keeps them (conversion/glm.py#L252).
    """
    if spec.architecture == "deepseek2" and spec.model_type != "glm4_moe_lite":
        return 0
    return d.mtp_layers if d.mtp_layers is not None else int(bool(spec.params_mtp))


class _Key:
    """Dimensions with a hash of their own: they hold a dict, and hashing 60 fields each time costs."""

    __slots__ = ("_hash", "dimensions")

    def __init__(self, dimensions: Dimensions) -> None:
        self.dimensions = dimensions
        d = dimensions
        self._hash = hash(
            (d.hidden_size, d.num_hidden_layers, d.vocab_size, d.intermediate_size, d.num_experts)
        )

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (
            self.dimensions is other.dimensions or self.dimensions == other.dimensions
        )


@lru_cache(maxsize=1024)
def _layout(model: str, name: str, key: _Key, blocks: int, stated: int | None) -> ModelLayout:
    del model  # a second key, so that models of equal sizes do not compare all their fields
    d, architecture = key.dimensions, ARCHITECTURES[name]
    templates: dict[LayerVariant, int] = {}
    parts: list[Parts] = []
    layers: list[int] = []
    for index in range(d.num_hidden_layers):
        variant = variant_of(d, index, mark_first=architecture.mark_first)
        if variant not in templates:
            templates[variant] = len(parts)
            parts.append(architecture.layer(d, variant))
        layers.append(templates[variant])
    prediction: tuple[Parts, ...] = ()
    if architecture.prediction is not None and blocks:
        block = architecture.prediction(d, variant_of(d, d.num_hidden_layers - 1))
        prediction = (_as_stated(block, blocks, stated),) * blocks
    tied = d.tie_word_embeddings if architecture.tied is None else architecture.tied
    return ModelLayout(
        architecture=name,
        dimensions=d,
        outside=_outside(d, architecture, tied),
        templates=tuple(parts),
        layers=tuple(layers),
        prediction=prediction,
        tied=tied and architecture.head,
    )


def _as_stated(block: Parts, blocks: int, stated: int | None) -> Parts:
    """The block without tables of its own where the checkpoint's count says so (GLM-4.6)."""
    own = ("nextn.embed_tokens.weight", "nextn.shared_head_head.weight")
    bare = tuple(part for part in block if part.name not in own)
    return bare if stated == blocks * _elements(bare) else block


def _outside(d: Dimensions, architecture: Architecture, tied: bool) -> Parts:
    parts: list[TensorPart] = [weight("token_embd", d.hidden_size, d.vocab_size, role=Role.TOKEN_EMBD)]
    if architecture.output_norm is not None:
        parts += norm(architecture.output_norm, d.hidden_size, biased=architecture.output_norm_bias)
    if architecture.head and not tied:
        parts.append(weight("output", d.hidden_size, d.vocab_size, role=Role.OUTPUT))
        if architecture.head_bias:
            parts.append(bias("output", d.vocab_size, Role.OUTPUT))
    if architecture.tables is not None:
        parts += architecture.tables(d)
    rope = d.extra.get("rope_type")
    width = d.qk_rope_head_dim or int(d.head_dim * float(d.extra.get("partial_rotary_factor", 1.0)))
    if rope == "llama3":
        parts.append(weight("rope_freqs", width // 2, role=Role.ROPE))
    elif rope == "longrope":
        parts.append(weight("rope_factors_long", width // 2, role=Role.ROPE))
        parts.append(weight("rope_factors_short", width // 2, role=Role.ROPE))
    return tuple(parts)


def model_tensors(spec: ModelSpec) -> tuple[TensorShape, ...]:
    """Every tensor that a GGUF of this model holds, with llama.cpp's names.

    Multi-token-prediction blocks that converters write are included and marked
    (`mtp`). For sums over many models use `model_layout`: it shares equal layers.

    Raises:
        NotModeledError: the architecture or the shapes are not known to us.
    """
    layout = model_layout(spec)
    tensors = [TensorShape(name=p.name, shape=p.shape, layer=None, role=p.role) for p in layout.outside]
    for index, template in enumerate(layout.layers):
        tensors += _layer_tensors(layout.templates[template], index, mtp=False)
    for offset, parts in enumerate(layout.prediction):
        tensors += _layer_tensors(parts, len(layout.layers) + offset, mtp=True)
    return tuple(tensors)


def _layer_tensors(parts: Parts, layer: int, *, mtp: bool) -> list[TensorShape]:
    return [
        TensorShape(name=f"blk.{layer}.{p.name}", shape=p.shape, layer=layer, role=p.role, mtp=mtp)
        for p in parts
    ]


def parameter_count(spec: ModelSpec) -> int:
    """Weights of the model's text part: all tensors but rotary tables and prediction blocks.

    Raises:
        NotModeledError: the architecture or the shapes are not known to us.
    """
    layout = model_layout(spec)
    sums = [_elements(parts) for parts in layout.templates]
    return _elements(layout.outside) + sum(sums[template] for template in layout.layers)


def prediction_count(spec: ModelSpec) -> int:
    """Weights of the multi-token-prediction blocks in the file; 0 for none."""
    return sum(_elements(parts) for parts in model_layout(spec).prediction)


def all_elements(layout: ModelLayout, *, prediction: bool = True) -> int:
    """Weights of a whole file, rotary tables included; `prediction`: with its prediction blocks."""
    sums = [sum(part.elements for part in parts) for parts in layout.templates]
    count = sum(part.elements for part in layout.outside) + sum(sums[index] for index in layout.layers)
    if prediction:
        count += sum(part.elements for parts in layout.prediction for part in parts)
    return count


def _elements(parts: Parts) -> int:
    return sum(part.elements for part in parts if part.role is not Role.ROPE)
