"""What models weigh: GGUF quantizations, checkpoint formats, and files as they are."""

from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.estimate.weights.gguf import gguf_header_bytes, gguf_tensor_bytes, gguf_types, gguf_weights
from probe.estimate.weights.stored import stored_weights

__all__ = [
    "checkpoint_weights",
    "gguf_header_bytes",
    "gguf_tensor_bytes",
    "gguf_types",
    "gguf_weights",
    "stored_weights",
]
