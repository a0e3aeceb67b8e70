"""Scratch memory of one batch in llama.cpp, computed from the compute graph's own tensors.

The graph of the architecture is built and laid out by the engine's allocator rules
(compute_graph/); nothing is fitted. All 1,171 rows of tests/truth/llamacpp_memory.csv.gz come
out to the engine's last digit.
"""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from probe.catalog.buffer_table import StoredBuffers
from probe.catalog.model_spec import ModelSpec
from probe.estimate.compute_graph import build_graph
from probe.estimate.compute_graph.allocator import peak_bytes
from probe.estimate.compute_graph.builder import Batch, Builder
from probe.estimate.compute_graph.ggml import Graph
from probe.estimate.compute_graph.offload import (
    BESIDE_EXPERTS,
    EXPERT_COPIES,
    EXPERTS,
    PIPELINE_COPIES,
    OffloadPeaks,
    offload_peaks,
    peak_beside_experts,
)
from probe.estimate.compute_graph.repetition import representative_layers
from probe.estimate.compute_graph.shapes import Shapes, shapes_of
from probe.estimate.kv_cache import CacheCells
from probe.estimate.llama_hparams import Hparams
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError

# DeepSeek V4's layers leave room of many sizes behind, and where the peak lies changes with their
# number; every layer of MiniMax-M3 has copies of its own of what the GPU reads from the host.
_EACH_LAYER: Final = frozenset({"minimax-m3"})
_WHOLE: Final = frozenset({"deepseek4"}) | _EACH_LAYER
BroughtBytes = tuple[tuple[str, int], ...]  # weights by name, and the cache of a layer


class Devices(NamedTuple):
    """Where the layers run. GPUs are counted from 0, the CPU comes last."""

    total: int  # the CPU counted
    with_layers: frozenset[int]
    of_output: int
    brought: BroughtBytes = ()  # read from host memory: on the first GPU for a large batch
    pipeline: bool = False  # several GPUs work on several batches at once
    layers: tuple[tuple[int, int], ...] = ()  # of each GPU: its first one and the one behind its last

    @property
    def cpu(self) -> int:
        """The CPU's number."""
        return self.total - 1


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
    return computed_buffers(spec, h, batch).cpu


def device_buffer_bytes(known: "Buffers | StoredBuffers", devices: Devices) -> tuple[int, ...]:
    """Bytes of each device's compute buffer, GPUs first, the CPU last.

    Large batches of layers in host memory run on the first GPU as well, with their weights
    and caches brought there for the moment. Every GPU is taken to support every operation
    and to hold layers of every kind.

    Args:
        known: the model's figures, computed or from the catalog's table.
    """
    if devices.total == 1:
        return (known.cpu,)
    sizes = []
    for gpu in range(devices.cpu):
        has_head = gpu == devices.of_output
        if not (has_head or gpu in devices.with_layers):
            sizes.append(0)
        elif devices.pipeline and isinstance(known, Buffers) and known.counts_layers:
            sizes.append(known.of_layers(*devices.layers[gpu]))
        elif devices.pipeline:
            sizes.append(known.last if has_head else known.middle if gpu else known.first)
        else:
            sizes.append(known.whole if has_head else known.layers)
    if devices.brought:
        in_use = known.readings
        copies = {EXPERTS: in_use.get(EXPERT_COPIES, 1)}
        fetched = [
            in_use[name] + size * copies.get(name, 1) for name, size in devices.brought if name in in_use
        ]
        if devices.total == 2 and devices.brought[0][0] == EXPERTS:
            sizes[0] = in_use.get(BESIDE_EXPERTS, sizes[0])
        sizes[0] = max(sizes[0], *fetched, 0)
    return (*sizes, known.hosts if devices.pipeline else known.host)


def output_buffer_bytes(h: Hparams, sequences: int) -> int:
    """Bytes of the logits kept on the host: a row a sequence (src/llama-context.cpp#L2118)."""
    return 4 * h.vocabulary * sequences


class Buffers:
    """All figures of one model and batch, each laid out when it is asked for."""

    def __init__(self, shapes: Shapes, h: Hparams, batch: Batch) -> None:
        """Nothing is computed yet."""
        self._shapes = shapes
        self._h = h
        self._batch = batch
        self._sequence = _sequence(shapes, h)
        self._of_layers: dict[tuple[int, int], int] = {}

    @property
    def counts_layers(self) -> bool:
        """Whether a GPU takes more for each further layer it holds."""
        return self._h.architecture in _EACH_LAYER

    def of_layers(self, first: int, behind: int) -> int:
        """One of several GPUs that work on several batches at once, with these layers."""
        if (first, behind) not in self._of_layers:
            graph = self._graph(continued=first > 0, sequence=tuple(range(first, behind)))
            peaks = offload_peaks(graph, PIPELINE_COPIES)
            self._of_layers[first, behind] = peaks.whole if behind == self._h.layers else peaks.layers
        return self._of_layers[first, behind]

    def _graph(self, *, continued: bool = False, sequence: tuple[int, ...] | None = None) -> Graph:
        """The short graph; a file's sizes may contradict each other, and then there is none."""
        shapes = self._shapes
        builder = Builder(
            self._h,
            self._batch,
            shapes.outside,
            shapes.layers,
            sequence=sequence or self._sequence,
            continued=continued,
        )
        try:
            return build_graph(builder)
        except (ArithmeticError, LookupError) as error:
            raise NotModeledError(
                UNKNOWN_SHAPES, architecture=self._h.architecture, missing=repr(error)
            ) from error

    @cached_property
    def cpu(self) -> int:
        """Everything on the CPU."""
        graph = self._graph()
        return peak_bytes(graph.leafs, graph.nodes)

    @cached_property
    def _alone(self) -> OffloadPeaks:
        return offload_peaks(self._graph())

    @cached_property
    def _first(self) -> OffloadPeaks:
        return offload_peaks(self._graph(), PIPELINE_COPIES)

    @cached_property
    def _later(self) -> OffloadPeaks:
        return offload_peaks(self._graph(continued=True), PIPELINE_COPIES)

    @property
    def layers(self) -> int:
        """A GPU that has layers but not the head."""
        return self._alone.layers

    @property
    def whole(self) -> int:
        """A GPU with layers and head."""
        return self._alone.whole

    @property
    def host(self) -> int:
        """Host memory beside them."""
        return self._alone.host

    @cached_property
    def readings(self) -> Mapping[str, int]:
        """What is in use on the GPU, at most, when a weight or cache is read, by its name."""
        found = self._alone.readings
        if not any(name.endswith(EXPERTS) for name in found):
            return found
        return {**found, **self._beside_experts}

    @cached_property
    def _beside_experts(self) -> dict[str, int]:
        beside, copies = peak_beside_experts(self._graph(), counted=True)
        without, _ = peak_beside_experts(self._graph(), counted=False)
        return {EXPERTS: beside, EXPERT_COPIES: copies, BESIDE_EXPERTS: without}

    @property
    def first(self) -> int:
        """The first of several GPUs that work on several batches at once."""
        return self._first.layers

    @property
    def middle(self) -> int:
        """One between the first and the last."""
        return self._later.layers

    @property
    def last(self) -> int:
        """The one with the head."""
        return self._later.whole

    @property
    def hosts(self) -> int:
        """Host memory beside several GPUs."""
        return self._first.host


def computed_buffers(spec: ModelSpec, h: Hparams, batch: Batch) -> Buffers:
    """The figures of this model and batch, always computed from the graph.

    Raises:
        NotModeledError: no graph for this architecture, or its shapes are not known.
    """
    shapes = shapes_of(spec)
    if len(shapes.layers) < h.layers:
        raise NotModeledError(UNKNOWN_SHAPES, architecture=h.architecture, missing="layers")
    return _buffers(shapes, h, batch)


@lru_cache(maxsize=8192)
def _buffers(shapes: Shapes, h: Hparams, batch: Batch) -> Buffers:
    return Buffers(shapes, h, batch)


@lru_cache(maxsize=1024)
def _sequence(shapes: Shapes, h: Hparams) -> tuple[int, ...]:
    """The layers of the short graph."""
    if h.architecture in _WHOLE:
        return tuple(range(h.layers))
    used = h.experts_used or (0,) * h.layers
    columns = (shapes.kinds, h.sliding, h.recurrent, h.cached, h.kv_heads, used, h.indexer_full)
    return representative_layers(list(zip(*(column[: h.layers] for column in columns), strict=True)))
