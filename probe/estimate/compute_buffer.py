"""Scratch memory of one batch in llama.cpp, computed from the compute graph's own tensors.

The graph of the architecture is built and laid out by the engine's allocator rules
(compute_graph/); nothing is fitted. All 1,171 rows of tests/truth/llamacpp_memory.csv.gz come
out to the engine's last digit.
"""

from functools import lru_cache

from probe.catalog.model_spec import ModelSpec
from probe.estimate.compute_graph import build_graph
from probe.estimate.compute_graph.allocator import CPU_ALIGNMENT, peak_bytes
from probe.estimate.compute_graph.builder import Batch, Builder, LayerTensors
from probe.estimate.kv_cache import CacheCells
from probe.estimate.llama_hparams import Hparams
from probe.estimate.tensors import Parts, model_layout


@lru_cache(maxsize=512)
def _shapes(parts: Parts) -> LayerTensors:
    return {part.name: part.shape for part in parts}


def batch_of(
    cells: CacheCells,
    *,
    ubatch: int,
    flash_attention: bool,
    type_k: str = "f16",
    type_v: str = "f16",
    outputs: int | None = None,
) -> Batch:
    """The batch llama.cpp reserves for: full, spread evenly over the sequences.

    Args:
        outputs: tokens whose logits are wanted; None: all, the library's default.

    Source: sched_reserve and graph_reserve, src/llama-context.cpp#L580 and #L2526.
    """
    tokens = min(ubatch, cells.context)
    wanted = tokens if outputs is None else min(tokens, outputs)
    tokens = -(-tokens // cells.sequences) * cells.sequences
    return Batch(tokens, cells.sequences, wanted, cells, flash_attention, type_k, type_v)


def compute_buffer_bytes(spec: ModelSpec, h: Hparams, batch: Batch, *, alignment: int = CPU_ALIGNMENT) -> int:
    """Bytes of the compute buffer when everything runs on one device.

    Raises:
        NotModeledError: no graph for this architecture, or its shapes are not known.
    """
    layout = model_layout(spec)
    layers = tuple(_shapes(layout.templates[index]) for index in layout.layers)
    builder = Builder(h, batch, _shapes(layout.outside), layers)
    graph = build_graph(builder)
    return peak_bytes(graph.leafs, graph.nodes, alignment)


def output_buffer_bytes(h: Hparams, sequences: int) -> int:
    """Bytes of the logits kept on the host: a row a sequence (src/llama-context.cpp#L2118)."""
    return 4 * h.vocabulary * sequences
