"""Compute buffers where the layers run on GPUs: what stays on the host, what the GPU takes.

Tables are looked up on the host and everything after the last look-up runs on the GPU. What
the GPU reads from the host is copied there before its first operation, four times where
several GPUs work on several batches at once.

Source: ggml_backend_sched_split_graph, ggml/src/ggml-backend.cpp#L1178, llama.cpp b11434.
Held against that scheduler with simulated devices: tests/truth/llamacpp_devices.csv.gz.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from probe.estimate.compute_graph.allocator import CPU_ALIGNMENT, Allocation
from probe.estimate.compute_graph.ggml import Graph, Tensor

GPU_ALIGNMENT: Final = 128  # ggml/src/ggml-cuda/ggml-cuda.cu#L897; Vulkan and Metal ask for as much or less
PIPELINE_COPIES: Final = 4  # GGML_SCHED_MAX_COPIES, ggml/CMakeLists.txt


class OffloadPeaks(NamedTuple):
    """Bytes of compute buffers: a GPU without and with the head, and the host.

    `readings`: what is in use on the GPU, at most, beside a weight or cache that is read.
    """

    layers: int
    whole: int
    host: int
    readings: Mapping[str, int]


def offload_peaks(graph: Graph, copies: int = 1) -> OffloadPeaks:
    """Peaks of a graph whose layers all run on a GPU; the graph is used up.

    Args:
        copies: how often inputs are kept.
    """
    first = 1 + max((index for index, node in enumerate(graph.nodes) if node.on_host), default=-1)
    on_host, nodes = graph.nodes[:first], graph.nodes[first:]
    host = copies * sum(_aligned(leaf.size) for leaf in graph.leafs if leaf.on_host)
    host += sum(_aligned(node.size) for node in on_host if _has_memory(node))
    brought = _bring_inputs(nodes, {id(node) for node in on_host}, keep=copies > 1)
    spare = [_copy_of(tensor, keep=True) for tensor in brought for _ in range(copies - 1)]
    for node in nodes:
        if node.gpu_extra:
            node.size = -(-node.size // GPU_ALIGNMENT) * GPU_ALIGNMENT + node.gpu_extra
    allocation = Allocation(GPU_ALIGNMENT)
    blanks = [leaf for leaf in graph.leafs if not leaf.on_host]
    readings: dict[str, int] = {}
    head = next((index for index, node in enumerate(nodes) if node is graph.logits), len(nodes))
    allocation.run([*brought, *spare, *blanks], nodes[:head], readings)
    layers = allocation.buffer.peak
    allocation.run((), nodes[head:])
    return OffloadPeaks(layers, allocation.buffer.peak, host, readings)


def _bring_inputs(nodes: list[Tensor], on_host: set[int], *, keep: bool) -> list[Tensor]:
    """Replace what the GPU reads from the host by copies; returns them in order of first use."""
    copies: dict[int, Tensor] = {}
    for node in nodes:
        srcs = list(node.srcs)
        for index, operand in enumerate(srcs):
            if (operand.leaf and operand.on_host) or id(operand) in on_host:
                copy = copies.get(id(operand))
                if copy is None:
                    copy = copies[id(operand)] = _copy_of(operand, keep=keep)
                srcs[index] = copy
        node.srcs = tuple(srcs)
        if node.view_of is not None and id(node.view_of) in copies:
            node.view_of = copies[id(node.view_of)]
    return list(copies.values())


def _copy_of(tensor: Tensor, *, keep: bool) -> Tensor:
    copy = Tensor(tensor.ne, tensor.type, ())
    copy.output = keep
    return copy


def _has_memory(node: Tensor) -> bool:
    return not node.external and node.view_of is None and not node.inplace


def _aligned(size: int) -> int:
    return -(-size // CPU_ALIGNMENT) * CPU_ALIGNMENT
