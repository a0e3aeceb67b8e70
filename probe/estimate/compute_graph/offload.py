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
EXPERTS: Final = "_exps"  # how the names of routed experts end
EXPERT_COPIES: Final = "copies of _exps"
BESIDE_EXPERTS: Final = "without _exps"
_EXPERT_COPY: Final = 1 << 45


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
    originals = _bring_inputs(nodes, {id(node) for node in on_host}, keep=copies > 1)
    host = _host_peak([leaf for leaf in graph.leafs if leaf.on_host], on_host, originals, copies)
    brought = [copy for _, copy in originals]
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


def peak_beside_experts(graph: Graph, *, counted: bool) -> tuple[int, int]:
    """What a GPU takes beside copies of routed experts that lie on the host, and how many copies.

    The graph is used up. `counted`: at the moment when it holds most copies; else at any other.

    Each time experts are read a new part of the graph begins: their copy and that of inputs read
    there for the first time are made at its start. Copies are taken to be of one size and larger
    than any gap.
    """
    first = 1 + max((index for index, node in enumerate(graph.nodes) if node.on_host), default=-1)
    on_host, nodes = graph.nodes[:first], graph.nodes[first:]
    waiting = {id(copy): copy for _, copy in _bring_inputs(nodes, {id(node) for node in on_host}, keep=False)}
    ordered: list[Tensor] = []
    start = 0
    for node in nodes:
        if node.gpu_extra:
            node.size = -(-node.size // GPU_ALIGNMENT) * GPU_ALIGNMENT + node.gpu_extra
        if node.brings.endswith(EXPERTS):
            start = len(ordered)
            if counted:
                experts = Tensor((_EXPERT_COPY,), 1, ())
                node.srcs = (experts, *node.srcs)
                ordered.append(experts)
        for operand in node.srcs:
            if waiting.pop(id(operand), None) is not None:
                place = start
                while place < len(ordered) and not ordered[place].srcs:
                    place += 1
                ordered.insert(place, operand)
        ordered.append(node)
    allocation = Allocation(GPU_ALIGNMENT)
    allocation.run([leaf for leaf in graph.leafs if not leaf.on_host], ordered)
    copies, beside = divmod(allocation.buffer.peak, _EXPERT_COPY)
    return beside, copies


def _host_peak(
    leafs: list[Tensor], nodes: list[Tensor], brought: list[tuple[Tensor, Tensor]], copies: int
) -> int:
    """Bytes of the host's buffer: inputs, and look-ups kept until the GPU has copied them."""
    for tensor, _ in brought:
        (tensor.view_of or tensor).output = True
    spare = [_copy_of(leaf, keep=True) for leaf in leafs for _ in range(copies - 1)]
    if copies > 1:
        for leaf in leafs:
            leaf.output = True
    allocation = Allocation(CPU_ALIGNMENT)
    allocation.run([*leafs, *spare], nodes)
    return allocation.buffer.peak


def _bring_inputs(nodes: list[Tensor], on_host: set[int], *, keep: bool) -> list[tuple[Tensor, Tensor]]:
    """Replace what the GPU reads from the host by copies; returns both in order of first use.

    A view is copied where an operation reads it, with the gaps between its rows.
    """
    copies: dict[int, tuple[Tensor, Tensor]] = {}
    for node in nodes:
        if _is_view(node) and (node.srcs[0].on_host or id(node.srcs[0]) in on_host):
            on_host.add(id(node))
            continue
        srcs = list(node.srcs)
        for index, operand in enumerate(srcs):
            if (operand.leaf and operand.on_host) or id(operand) in on_host:
                if id(operand) not in copies:
                    copies[id(operand)] = operand, _copy_of(operand, keep=keep)
                srcs[index] = copies[id(operand)][1]
        node.srcs = tuple(srcs)
        if node.view_of is not None and id(node.view_of) in copies:
            node.view_of = copies[id(node.view_of)][1]
    return list(copies.values())


def _copy_of(tensor: Tensor, *, keep: bool) -> Tensor:
    copy = Tensor(tensor.ne, tensor.type, ())
    copy.size = _span(tensor)
    copy.output = keep
    return copy


def _is_view(node: Tensor) -> bool:
    """Another shape of the same memory, not an operation in place."""
    return node.view_of is not None and len(node.srcs) == 1 and not node.brings


def _span(tensor: Tensor) -> int:
    """Bytes from a view's first number to its last (ggml_dup_tensor_layout keeps the strides)."""
    base = tensor.view_of
    if base is None or tensor.size >= base.size or len(base.ne) < 2 or tensor.ne[0] == base.ne[0]:
        return tensor.size
    rows = base.size // (base.ne[0] * base.type)
    if tensor.size % rows:
        return tensor.size
    return (rows - 1) * base.ne[0] * base.type + tensor.size // rows
