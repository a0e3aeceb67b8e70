"""The tensors of a model: names, shapes and roles as llama.cpp's files hold them."""

from probe.estimate.tensors.layout import (
    ModelLayout,
    all_elements,
    model_layout,
    model_tensors,
    parameter_count,
    prediction_count,
)
from probe.estimate.tensors.optional import fitted_to_count
from probe.estimate.tensors.shape import Parts, Role, TensorPart, TensorShape

__all__ = [
    "ModelLayout",
    "Parts",
    "Role",
    "TensorPart",
    "TensorShape",
    "all_elements",
    "fitted_to_count",
    "model_layout",
    "model_tensors",
    "parameter_count",
    "prediction_count",
]
