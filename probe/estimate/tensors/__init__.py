"""The tensors of a model: names, shapes and roles as llama.cpp's files hold them."""

from probe.estimate.tensors.layout import (
    ModelLayout,
    model_layout,
    model_tensors,
    parameter_count,
    prediction_count,
)
from probe.estimate.tensors.shape import Parts, Role, TensorPart, TensorShape

__all__ = [
    "ModelLayout",
    "Parts",
    "Role",
    "TensorPart",
    "TensorShape",
    "model_layout",
    "model_tensors",
    "parameter_count",
    "prediction_count",
]
