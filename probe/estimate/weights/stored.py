"""What the files that a user pointed at weigh: their own tensors, sorted by place."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from probe.catalog.model_spec import ModelSpec, StoredTensor
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError
from probe.estimate.weight_bytes import WeightBytes

_BLOCK: Final = re.compile(r"blk\.(\d{1,5})\.")
_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,5})\.")
_INPUT_TABLES: Final = (
    "embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embeddings.weight",
    "tok_embeddings.weight", "embed_in.weight", "embedding.weight",
)  # fmt: skip
_TOWERS: Final = (
    "visual.", "vision_tower.", "vision_model.", "vision_embed_tokens.", "audio_tower.",
    "multi_modal_projector.", "embed_vision.", "embed_audio.", "mm_projector.", "vision_encoder.",
    "sound_encoder.", "v.", "mm.", "a.",
)  # fmt: skip
_PREDICTION: Final = ("mtp.", "model.mtp")


class _Place(NamedTuple):
    """Where a tensor belongs: a layer's number, or a part outside the layers."""

    part: str  # layer, experts, token_embd, per_layer_embd, position_embd, output, head, first, mtp, vision
    layer: int = 0


def stored_weights(spec: ModelSpec) -> WeightBytes:
    """Bytes of the very tensors in the file or checkpoint, split as engines place them.

    Works for architectures nobody has heard of: the layer comes from the tensor's name.

    Raises:
        NotModeledError: the spec holds no tensors.
    """
    tensors = spec.stored_tensors
    if tensors is None:
        raise NotModeledError(UNKNOWN_SHAPES, architecture=spec.architecture, missing="tensors")
    is_gguf = spec.origin == "gguf" or any(tensor.name.startswith("blk.") for tensor in tensors)
    count = spec.dimensions.num_hidden_layers if spec.dimensions is not None else None
    places = [_gguf_place(t.name, count) if is_gguf else _checkpoint_place(t.name, count) for t in tensors]
    layers = 1 + max((place.layer for place in places if place.part in ("layer", "experts")), default=0)
    totals, experts = [0] * layers, [0] * layers
    outside: dict[str, int] = {}
    for tensor, place in zip(tensors, places, strict=True):
        if place.part in ("layer", "experts"):
            totals[place.layer] += tensor.size_bytes
            if place.part == "experts":
                experts[place.layer] += tensor.size_bytes
        elif place.part == "first":
            totals[0] += tensor.size_bytes
        else:
            outside[place.part] = outside.get(place.part, 0) + tensor.size_bytes
    return _weight_bytes(spec, tensors, totals, experts, outside)


def _weight_bytes(
    spec: ModelSpec,
    tensors: tuple[StoredTensor, ...],
    totals: list[int],
    experts: list[int],
    outside: Mapping[str, int],
) -> WeightBytes:
    used, of = _experts(spec)
    has_head = outside.get("head", 0) > 0
    is_tied = not has_head
    head = outside.get("head", 0)
    if has_head and spec.dimensions is not None and spec.dimensions.tie_word_embeddings:
        is_tied, head = True, 0  # a copy of the input table that engines do not load
    embedding = outside.get("token_embd", 0)
    return WeightBytes(
        quantization=spec.file_quantization or "unknown",
        file_bytes=sum(tensor.size_bytes for tensor in tensors),
        layers=tuple(totals),
        layer_experts=tuple(experts),
        layer_active=tuple(
            total - part + part * used // of for total, part in zip(totals, experts, strict=True)
        ),
        token_embedding_bytes=embedding,
        per_layer_embedding_bytes=outside.get("per_layer_embd", 0),
        position_embedding_bytes=outside.get("position_embd", 0),
        output_bytes=head + outside.get("output", 0),
        output_is_tied=is_tied and embedding > 0 and not _is_encoder(spec),
        mtp_bytes=outside.get("mtp", 0),
        vision_bytes=outside.get("vision", 0),
    )


def _is_encoder(spec: ModelSpec) -> bool:
    return "bert" in (spec.architecture or "") or "bert" in (spec.model_type or "")


def _experts(spec: ModelSpec) -> tuple[int, int]:
    d, metadata = spec.dimensions, spec.gguf_metadata or {}
    count: object = d.num_experts if d is not None else metadata.get(f"{spec.architecture}.expert_count")
    used: object = (
        d.experts_per_token if d is not None else metadata.get(f"{spec.architecture}.expert_used_count")
    )
    if isinstance(count, int) and isinstance(used, int) and 0 < used <= count:
        return used, count
    return 1, 1


def _gguf_place(name: str, layers: int | None) -> _Place:
    found = _BLOCK.match(name)
    if found is not None:
        layer = int(found.group(1))
        if (layers is not None and layer >= layers) or ".nextn." in name:
            return _Place("mtp")
        return _Place("experts" if "_exps." in name else "layer", layer)
    if name.startswith("token_embd."):
        return _Place("token_embd")
    if name.startswith("per_layer_token_embd"):
        return _Place("per_layer_embd")
    if name.startswith(("position_embd", "token_types")):
        return _Place("position_embd")
    if name.startswith("output."):
        return _Place("head")
    if name.startswith(("token_embd_norm", "rope_f", "per_layer_")):
        return _Place("first")
    if name.startswith(("v.", "mm.", "a.")):
        return _Place("vision")
    return _Place("output")


def _checkpoint_place(name: str, layers: int | None) -> _Place:
    short = name.removeprefix("model.").removeprefix("language_model.")
    if short.startswith(_TOWERS):
        return _Place("vision")
    if name.startswith(_PREDICTION):
        return _Place("mtp")
    found = _LAYER.search(name)
    if found is not None:
        layer = int(found.group(1))
        if layers is not None and layer >= layers:
            return _Place("mtp")
        return _Place("experts" if ".experts." in name else "layer", layer)
    if name.endswith("embed_tokens_per_layer.weight"):
        return _Place("per_layer_embd")
    if "position_embeddings" in name or "token_type_embeddings" in name:
        return _Place("position_embd")
    if "lm_head" in name or name.endswith(("output.weight", "embed_out.weight")):
        return _Place("head")
    if name.endswith(_INPUT_TABLES) or ".embed_tokens." in name:
        return _Place("token_embd")
    return _Place("output")
