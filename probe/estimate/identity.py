"""Does a model's row add up: parameters counted from its shapes against what its checkpoint stores.

Counting goes over the tensors of a GGUF. Models that upstream llama.cpp does not load are
counted with the tensors of the architecture that theirs was made from.
"""

from typing import Final, NamedTuple

import msgspec

from probe.catalog.model_spec import LayerKind, ModelSpec
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors.layout import model_layout, parameter_count, prediction_count
from probe.estimate.tensors.shape import Role

# FP8 scales, routing biases and rounded totals stay below; one layer of any model is above.
_TOTAL_TOLERANCE: Final = 0.001
# Encoders: the GGUF leaves out the pooler and two position rows, up to 0.7 % of a small one.
_ENCODER_TOLERANCE: Final = 0.01
_ENCODERS: Final = ("embedding", "reranker")

# config.json's model_type, and the llama.cpp architecture with the same tensors. Each was
# found by counting: no other choice gives the checkpoint total.
_COUNTED_LIKE: Final = {
    "Motif": "llama",
    "hyperclovax": "glm4",
    "hyperclovax_vision_v2": "llama",
    "hyperclovax_vlm": "llama",
    "interns1": "qwen3",
    "kanana-1.5-v": "llama",
    "kanana2_tiny": "qwen3",
    "kanana2vec": "llama",
    "llava": "llama",
    "mimo": "qwen2",
    "mllama": "llama",
    "phi4mm": "phi3",
    "pixtral": "llama",
    "smolvlm": "llama",
    "solar": "llama",
    "unknown": "llama",
    "vlm": "qwen3",
    "axk1": "deepseek2",
}


class Discrepancy(NamedTuple):
    """One sum that does not come out; `key` names the sentence."""

    key: str
    counted: int
    stated: int


def counted_parameters(spec: ModelSpec) -> int:
    """Weights of the text part, counted from the row's shapes.

    Raises:
        NotModeledError: neither llama.cpp's tensors nor a counting rule cover this model.
    """
    if spec.model_type == "nemotron-nas":
        return _pruned_llama(spec)
    countable = _countable(spec)
    own = 0 if countable is spec else _own_tensors(spec)
    return parameter_count(countable) + own


def active_parameters(spec: ModelSpec) -> int:
    """Weights of the text part that one token goes through: of the experts only those it is sent to.

    The input table and the head count whole, as in `ModelSpec.params_active`.

    Raises:
        NotModeledError: neither llama.cpp's tensors nor a counting rule cover this model.
    """
    counted, d = counted_parameters(spec), spec.dimensions
    if d is None or not d.num_experts:
        return counted
    layout = model_layout(_countable(spec))
    sums = [sum(p.elements for p in parts if p.role is Role.EXPERT) for parts in layout.templates]
    experts = sum(sums[template] for template in layout.layers)
    return counted - experts + experts * (d.experts_per_token or 0) // d.num_experts


def _countable(spec: ModelSpec) -> ModelSpec:
    """The same row under the architecture whose tensors it is counted with."""
    try:
        model_layout(spec)
    except NotModeledError:
        like = _COUNTED_LIKE.get(spec.model_type or "")
        if like is None:
            raise
        return msgspec.structs.replace(spec, architecture=like)
    return spec


def _own_tensors(spec: ModelSpec) -> int:
    """What a model has beside the tensors of the architecture it is counted like."""
    d = spec.dimensions
    if d is None:
        return 0
    if spec.model_type == "mllama":  # 8 more input rows; two gates and two head norms a cross-attention layer
        cross = sum(d.kind_of(layer) is LayerKind.CROSS for layer in range(d.num_hidden_layers))
        return 8 * d.hidden_size + cross * (2 + 2 * d.head_dim)
    if spec.model_type == "axk1":  # a norm behind each feed-forward network
        return d.num_hidden_layers * d.hidden_size
    return 0


def _pruned_llama(spec: ModelSpec) -> int:
    """Llama with blocks taken out or narrowed one by one (nemotron-nas): lists say what each layer kept."""
    d = spec.dimensions
    if d is None or d.layer_kv_heads is None or d.layer_intermediate_sizes is None:
        raise NotModeledError("catalog.identity_unknown", model=spec.id)
    hidden = d.hidden_size
    total = 2 * hidden * d.vocab_size + hidden
    for heads, width in zip(d.layer_kv_heads, d.layer_intermediate_sizes, strict=True):
        if heads:
            total += (
                2 * hidden * d.num_attention_heads * d.head_dim + 2 * hidden * heads * d.head_dim + hidden
            )
        if width:
            total += 3 * hidden * width + hidden
    return total


def discrepancies(spec: ModelSpec) -> tuple[Discrepancy, ...]:
    """The sums of a row that do not come out; empty for a row that can be trusted.

    The counted text part must be the stated one to the last weight, the file's
    prediction blocks those of the checkpoint, and all parts together the total
    that the checkpoint stores.

    Raises:
        NotModeledError: nothing is known to count this model with.
    """
    found = []
    counted = counted_parameters(spec)
    if counted != spec.params_text:
        found.append(Discrepancy("catalog.identity_text", counted, spec.params_text or 0))
    if spec.params_mtp and spec.architecture is not None:
        blocks = _prediction(spec)
        if blocks not in (0, spec.params_mtp):
            found.append(Discrepancy("catalog.identity_prediction", blocks, spec.params_mtp))
    parts = (spec.params_text, spec.params_mtp, spec.params_other, spec.params_duplicate_head)
    whole = sum(part or 0 for part in parts)
    tolerance = _ENCODER_TOLERANCE if spec.modality in _ENCODERS else _TOTAL_TOLERANCE
    total = spec.params_total or 0
    if abs(whole - total) > tolerance * total:
        found.append(Discrepancy("catalog.identity_total", whole, total))
    return tuple(found)


def _prediction(spec: ModelSpec) -> int:
    try:
        return prediction_count(spec)
    except NotModeledError:
        return 0
