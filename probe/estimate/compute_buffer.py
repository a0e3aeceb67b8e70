"""Scratch memory of one batch in llama.cpp, computed from the compute graph's own tensors.

The graph of the architecture is built and laid out by the engine's allocator and scheduler
rules (compute_graph/); nothing is fitted. All 1,171 rows of tests/truth/llamacpp_memory.csv.gz
come out to the engine's last digit.
"""

from bisect import bisect_right
from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

from probe.catalog.model_spec import ModelSpec
from probe.estimate.compute_graph import build_graph
from probe.estimate.compute_graph.allocator import peak_bytes
from probe.estimate.compute_graph.builder import Batch, Builder
from probe.estimate.compute_graph.ggml import INPUT_HOME, OUTPUT_HOME
from probe.estimate.compute_graph.repetition import first_of_each, representative_layers
from probe.estimate.compute_graph.scheduler import device_sizes
from probe.estimate.compute_graph.shapes import Shapes, shapes_of
from probe.estimate.kv_cache import CacheCells
from probe.estimate.llama_hparams import Hparams
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError

TensorSizes = tuple[tuple[str, int], ...]  # name after `blk.N.` (full name outside the layers), bytes
_Kind = tuple[Hashable, int, bool]  # what the layer is, its device, whether its experts stay on the host


class Devices(NamedTuple):
    """Where the layers run. GPUs are counted from 0, the CPU comes last."""

    total: int  # the CPU counted
    of_layer: tuple[int, ...]
    of_output: int
    host_experts: int = 0  # layers whose routed experts stay in host memory
    pipeline: bool = False  # several GPUs work on several batches at once

    @property
    def cpu(self) -> int:
        """The CPU's number."""
        return self.total - 1

    @property
    def all_on_gpus(self) -> bool:
        """Nothing but the input tables lies in host memory."""
        return self.of_output != self.cpu and self.cpu not in self.of_layer and not self.host_experts


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


def compute_buffer_bytes(spec: ModelSpec, h: Hparams, batch: Batch) -> int:
    """Bytes of the compute buffer when everything runs on the CPU.

    Raises:
        NotModeledError: no graph for this architecture, or its shapes are not known.
    """
    return _on_cpu(_checked(shapes_of(spec), h), h, batch)


def device_buffer_bytes(
    spec: ModelSpec, h: Hparams, batch: Batch, devices: Devices, sizes: TensorSizes = ()
) -> tuple[int, ...]:
    """Bytes of each device's compute buffer, GPUs first, the CPU last.

    Args:
        sizes: bytes of the weights; needed where weights in host memory are copied to a
            GPU for a large batch.

    Raises:
        NotModeledError: no graph for this architecture, or its shapes are not known.
    """
    if devices.total == 1:
        return (compute_buffer_bytes(spec, h, batch),)
    shapes = _checked(shapes_of(spec), h)
    ends = devices._replace(of_layer=(), host_experts=0)
    return _divided(shapes, h, batch, _picked(shapes, h, devices), ends, sizes)


def output_buffer_bytes(h: Hparams, sequences: int) -> int:
    """Bytes of the logits kept on the host: a row a sequence (src/llama-context.cpp#L2118)."""
    return 4 * h.vocabulary * sequences


def _checked(shapes: Shapes, h: Hparams) -> Shapes:
    if len(shapes.layers) < h.layers:
        raise NotModeledError(UNKNOWN_SHAPES, architecture=h.architecture, missing="layers")
    return shapes


def _signatures(shapes: Shapes, h: Hparams) -> list[Hashable]:
    """What makes layers equal to the graph."""
    used = h.experts_used or (0,) * h.layers
    columns = (shapes.kinds, h.sliding, h.recurrent, h.cached, h.kv_heads, used, h.indexer_full)
    return list(zip(*(column[: h.layers] for column in columns), strict=True))


@lru_cache(maxsize=1024)
def _sequence(shapes: Shapes, h: Hparams) -> tuple[int, ...]:
    return representative_layers(_signatures(shapes, h))


class _Picked:
    """The layers of a short graph. Equal when their kinds and devices are: laid out once for all."""

    __slots__ = ("_hash", "indices", "kinds")

    def __init__(self, indices: tuple[int, ...], kinds: tuple[_Kind, ...]) -> None:
        self.indices = indices
        self.kinds = kinds
        self._hash = hash(kinds)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Picked) and self.kinds == other.kinds


@lru_cache(maxsize=4096)
def _picked(shapes: Shapes, h: Hparams, devices: Devices) -> _Picked:
    signatures: list[_Kind] = [
        (kind, devices.of_layer[index], index < devices.host_experts)
        for index, kind in enumerate(_signatures(shapes, h))
    ]
    pick = representative_layers if devices.all_on_gpus else first_of_each
    indices = pick(signatures)
    return _Picked(indices, tuple(signatures[index] for index in indices))


@lru_cache(maxsize=8192)
def _on_cpu(shapes: Shapes, h: Hparams, batch: Batch) -> int:
    graph = build_graph(Builder(h, batch, shapes.outside, shapes.layers, sequence=_sequence(shapes, h)))
    return peak_bytes(graph.leafs, graph.nodes)


@lru_cache(maxsize=8192)
def _divided(  # noqa: PLR0917  # lru_cache keys by position
    shapes: Shapes, h: Hparams, batch: Batch, picked: _Picked, ends: Devices, sizes: TensorSizes
) -> tuple[int, ...]:
    """`ends`: the devices without their layers, which `picked` has."""
    ends_at = {INPUT_HOME: ends.cpu, OUTPUT_HOME: ends.of_output}

    def home(index: int) -> int:
        """Of a layer that is left out (its cache may still be read): as of the one before it."""
        if index in ends_at:
            return ends_at[index]
        return picked.kinds[bisect_right(picked.indices, index) - 1][1]

    moved = [index for index, kind in zip(picked.indices, picked.kinds, strict=True) if kind[2]]
    graph = build_graph(
        Builder(
            h,
            batch,
            shapes.outside,
            shapes.layers,
            sequence=picked.indices,
            sizes=dict(sizes),
            host_experts=1 + max(moved, default=-1),
        )
    )
    return tuple(device_sizes(graph, devices=ends.total, home=home, pipeline=ends.pipeline))
