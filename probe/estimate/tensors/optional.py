"""Which optional tensors a model has, when only its parameter count is known besides its sizes."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import msgspec

from probe.catalog.model_spec import Dimensions, ModelSpec
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors.layout import all_elements, model_layout

_NORMS: Final = (None, "head", "layer")
_BIASES: Final = (None, "qkv", "o", "qkvo")
_SWITCHES: Final[tuple[dict[str, str | bool], ...]] = (
    {},
    {"rope_type": "llama3"},
    {"rope_type": "longrope"},
    {"scoring_func": "sigmoid"},
    {"scoring_func": "softmax"},
    {"mamba_rms_norm": True},
    {"new_decoder_architecture": True},
)


def fitted_to_count(spec: ModelSpec, parameters: int) -> ModelSpec:
    """The same model with the optional tensors whose total is `parameters`.

    GGUF metadata does not say whether the head is tied to the input table, whether
    attention has biases, or whether rotary tables are stored. The count decides where
    exactly one combination gives it; otherwise the spec comes back unchanged. Smaller
    changes are tried first.

    Args:
        parameters: as llama.cpp counts, prediction blocks and rotary tables included.
    """
    d = spec.dimensions
    if d is None:
        return spec
    for changed in _candidates(d, shares_values=spec.architecture == "gemma4"):
        candidate = msgspec.structs.replace(spec, dimensions=changed)
        try:
            layout = model_layout(candidate)
        except NotModeledError:
            return spec
        if parameters in (all_elements(layout), all_elements(layout, prediction=False)):
            return candidate
    return spec


def _candidates(d: Dimensions, *, shares_values: bool) -> Iterator[Dimensions]:
    yield d
    if shares_values:
        d = msgspec.structs.replace(d, attention_k_eq_v=not d.attention_k_eq_v)
        yield d
    ties = (d.tie_word_embeddings, not d.tie_word_embeddings)
    biases = (d.attention_bias, *(bias for bias in _BIASES if bias != d.attention_bias))
    norms = (d.qk_norm, *(norm for norm in _NORMS if norm != d.qk_norm))
    for norm, bias, switch, tie in product(norms, biases, _SWITCHES, ties):
        yield msgspec.structs.replace(
            d, tie_word_embeddings=tie, attention_bias=bias, qk_norm=norm, extra={**d.extra, **switch}
        )
