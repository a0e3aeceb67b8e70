"""Tensors of a checkpoint, also of models that llama.cpp does not know."""

from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors.layout import ModelLayout, model_layout, parameter_count

# Layers like these are what most architectures without a converter have.
_FAMILIES: Final = (
    "llama", "qwen2", "qwen3", "qwen3moe", "qwen2moe", "deepseek2", "glm4moe", "gemma2", "olmo2",
    "granitehybrid", "bailingmoe2", "exaone4", "starcoder2", "bert",
)  # fmt: skip
_TOLERANCE: Final = 0.0005  # of the parameter count


def checkpoint_layout(spec: ModelSpec) -> ModelLayout | None:
    """The model's tensors by llama.cpp's layout, or by a family's that has its very parameter count.

    None when neither is known: then only the parameter count says what it weighs.
    """
    try:
        return model_layout(spec)
    except NotModeledError:
        pass
    if spec.dimensions is None or not spec.params_text:
        return None
    for family in _FAMILIES:
        candidate = msgspec.structs.replace(spec, architecture=family)
        try:
            count = parameter_count(candidate)
        except (NotModeledError, ArithmeticError):
            continue
        if abs(count - spec.params_text) <= _TOLERANCE * spec.params_text:
            return model_layout(candidate)
    return None
