"""All parts together: what architectures build their graphs with."""

from probe.estimate.compute_graph.attention import AttentionParts
from probe.estimate.compute_graph.core import Batch, LayerTensors
from probe.estimate.compute_graph.feed_forward import FeedForwardParts


class Builder(AttentionParts, FeedForwardParts):
    """Builds one model's graph; architectures are functions over it."""


__all__ = ["Batch", "Builder", "LayerTensors"]
