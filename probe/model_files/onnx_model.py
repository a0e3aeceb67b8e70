"""An ONNX file as the estimators see it."""

from probe.catalog.model_spec import ModelSpec, StoredTensor
from probe.model_files.onnx import OnnxModel


def onnx_spec(model: OnnxModel, *, name: str) -> ModelSpec:
    """An ONNX model as the estimators see it: exact tensors, no shapes of a language model."""
    sizes: dict[str, int] = {}
    for tensor in model.tensors:
        sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.size_bytes
    return ModelSpec(
        id=name,
        name=name,
        modality="onnx",
        params_total=sum(_elements(tensor) for tensor in model.tensors),
        file_quantization=max(sizes, key=lambda kind: sizes[kind]) if sizes else None,
        stored_tensors=model.tensors,
        file_bytes=model.file_bytes,
        hf_config={
            "values_bytes": model.values_bytes,
            "largest_value_bytes": model.largest_value_bytes,
            "input_bytes": model.input_bytes,
            "output_bytes": model.output_bytes,
            "open_dimensions": list(model.open_dimensions),
            "nodes": model.nodes,
            "producer": model.producer,
        },
        origin="onnx",
    )


def _elements(tensor: StoredTensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count
