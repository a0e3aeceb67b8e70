"""What models weigh: GGUF quantizations, checkpoint formats, and files as they are."""

from probe.estimate.weights.gguf import gguf_types, gguf_weights

__all__ = ["gguf_types", "gguf_weights"]
