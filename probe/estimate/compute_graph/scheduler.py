"""A graph divided among devices, as ggml's scheduler does it: which device runs what, and
what is copied to where.

Devices are numbered by priority: GPUs first, the CPU last. Every operation is taken to be
supported by every GPU, which holds for CUDA with the architectures modeled here.

Source: ggml_backend_sched_backend_id_from_cur and ggml_backend_sched_split_graph,
ggml/src/ggml-backend.cpp#L1061 and #L1178, llama.cpp b11434. Checked byte by byte against
that scheduler with simulated devices.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from probe.estimate.compute_graph.allocator import CPU_ALIGNMENT, Allocation
from probe.estimate.compute_graph.ggml import Graph, Tensor

GPU_ALIGNMENT: Final = 128  # ggml/src/ggml-cuda/ggml-cuda.cu#L897; Vulkan and Metal ask for less or as much
OFFLOAD_ROWS: Final = 32  # op_offload_min_batch_size, ggml-cuda.cu
PIPELINE_COPIES: Final = 4  # GGML_SCHED_MAX_COPIES, ggml/CMakeLists.txt
_NOWHERE: Final = -1


class Copy(NamedTuple):
    """An operand that a split needs on its own device."""

    original: Tensor
    copies: tuple[Tensor, ...]


class Split(NamedTuple):
    """Nodes that run on one device without a break."""

    device: int
    inputs: list[Copy]
    nodes: list[Tensor]


class Scheduler:
    """One pass over one graph."""

    def __init__(self, graph: Graph, *, devices: int, home: Callable[[int], int], pipeline: bool) -> None:
        """A schedule of `graph`.

        Args:
            devices: number of devices, the CPU counted.
            home: device of a layer, or of the input or output part.
            pipeline: several batches run at once: inputs are kept four times.
        """
        self.graph = graph
        self.cpu = devices - 1
        self.home = home
        self.copies = PIPELINE_COPIES if pipeline else 1
        self.device: dict[int, int] = {}
        self.copied: dict[tuple[int, int], Copy] = {}

    def sizes(self) -> list[int]:
        """Bytes of each device's compute buffer."""
        self._assign()
        splits = self._split()
        alignments = [GPU_ALIGNMENT] * self.cpu + [CPU_ALIGNMENT]
        leafs = self._leafs(splits)
        nodes, keepers = self._with_copies(splits)
        for tensor in (*leafs, *nodes):
            tensor.device = self._of(tensor)
            if tensor.gpu_extra and tensor.device != self.cpu:
                tensor.size = (tensor.size + 127) // 128 * 128 + tensor.gpu_extra
        allocation = Allocation(alignments)
        allocation.run(leafs, nodes, frozenset(keepers))
        return [buffer.peak for buffer in allocation.buffers]

    # -- which device runs what --------------------------------------------------------

    def _of(self, tensor: Tensor) -> int:
        return self.device.get(id(tensor), _NOWHERE)

    def _assign(self) -> None:
        device, nodes = self.device, self.graph.nodes
        for leaf in self.graph.leafs:
            device[id(leaf)] = self.cpu
        for node in nodes:
            first = self._by_weights(node)
            if first != _NOWHERE:
                device[id(node)] = first
        for order, gpu_only in ((nodes, True), (nodes[::-1], True), (nodes, False), (nodes[::-1], False)):
            self._spread(order, gpu_only)
        for node in nodes:  # what is left takes the device of what it belongs to
            if node.view_of is not None and id(node) not in device:
                device[id(node)] = self._of(node.view_of)
            for operand in node.srcs:
                if id(operand) in device:
                    continue
                if operand.external:
                    device[id(operand)] = self.home(operand.home)
                elif operand.view_of is not None:
                    device[id(operand)] = self._of(operand.view_of)
                else:
                    device[id(operand)] = self._of(node)

    def _by_weights(self, node: Tensor) -> int:
        """The device of the first stored operand, or the first GPU where it lies on the host.

        Writes into a cache run where the cache lies; large batches over weights in host
        memory are worth copying the weights for (op_offload).
        """
        if node.external or (node.view_of is not None and node.view_of.external):
            return self.home(node.home if node.external else node.view_of.home if node.view_of else 0)
        if node.is_view:
            return _NOWHERE
        for operand in node.srcs:
            if not operand.weight:
                continue
            where = self.home(operand.home)
            if where == self.cpu and self.cpu > 0 and _rows(node) >= OFFLOAD_ROWS:
                return 0
            return where
        return _NOWHERE

    def _spread(self, nodes: Sequence[Tensor], gpu_only: bool) -> None:
        """Give nodes without a device that of their neighbour."""
        device, current = self.device, _NOWHERE
        for node in nodes:
            if node.is_view:
                continue
            own = device.get(id(node), _NOWHERE)
            if own != _NOWHERE:
                current = _NOWHERE if gpu_only and own == self.cpu else own
            elif current != _NOWHERE:
                device[id(node)] = current

    # -- what is copied ----------------------------------------------------------------

    def _split(self) -> list[Split]:
        nodes = self.graph.nodes
        first = next(self._of(node) for node in nodes if not node.is_view)
        split = Split(first, [], [])
        splits = [split]
        for node in nodes:
            if node.is_view:
                split.nodes.append(node)
                continue
            own = self._of(node)
            if own != split.device or (split.inputs and self._brings_weights(node, own)):
                split = Split(own, [], [])
                splits.append(split)
            self._bring_operands(node, split)
            split.nodes.append(node)
        return splits

    def _reachable(self, tensor: Tensor, device: int) -> bool:
        """Whether `device` can read `tensor` where it lies: the CPU reads host memory, a GPU its own."""
        return self._of(tensor) == device

    def _brings_weights(self, node: Tensor, device: int) -> bool:
        """A new split begins for weights from elsewhere, so that the last ones' room is free again."""
        return any(operand.weight and not self._reachable(operand, device) for operand in node.srcs)

    def _bring_operands(self, node: Tensor, split: Split) -> None:
        srcs = list(node.srcs)
        for index, operand in enumerate(srcs):
            if self._reachable(operand, split.device):
                continue
            key = (id(operand), split.device)
            copy = self.copied.get(key)
            if copy is None:
                copy = Copy(operand, tuple(_copy_of(operand) for _ in range(self.copies)))
                for tensor in copy.copies:
                    self.device[id(tensor)] = split.device
                    tensor.output = self.copies > 1
                self.copied[key] = copy
                split.inputs.append(copy)
            srcs[index] = copy.copies[0]
        node.srcs = tuple(srcs)

    def _with_copies(self, splits: Sequence[Split]) -> tuple[list[Tensor], set[int]]:
        """All nodes in order, each split's copies first; and which of them only keep operands alive."""
        nodes: list[Tensor] = []
        keepers: set[int] = set()
        for split in splits:
            for copy in split.inputs:
                keeper = Tensor((), 1, (copy.original,))
                keeper.view_of = copy.original.view_of or copy.original
                self.device[id(keeper)] = self._of(copy.original)
                keepers.add(id(keeper))
                nodes += (keeper, copy.copies[0])
            nodes += split.nodes
        return nodes, keepers

    def _leafs(self, splits: Sequence[Split]) -> list[Tensor]:
        """Inputs; with pipelining all their copies come first and are never freed."""
        leafs = self.graph.leafs
        if self.copies == 1:
            return list(leafs)
        ahead: list[Tensor] = []
        for leaf in leafs:
            leaf.output = True
            ahead.append(leaf)
            for _ in range(self.copies - 1):
                extra = _copy_of(leaf)
                extra.output = True
                self.device[id(extra)] = self._of(leaf)
                ahead.append(extra)
        for split in splits:
            for copy in split.inputs:
                ahead += copy.copies
        return ahead


def _copy_of(tensor: Tensor) -> Tensor:
    copy = Tensor(tensor.ne, tensor.type, ())
    copy.size = _span(tensor)
    return copy


def _span(tensor: Tensor) -> int:
    """Bytes from a view's first number to its last: a copy keeps the gaps (ggml_dup_tensor_layout)."""
    base = tensor.view_of
    if base is None or base.external or tensor.size >= base.size:
        return tensor.size
    rows = 1
    for size in base.ne[1:]:
        rows *= size
    if tensor.size % rows:
        return tensor.size
    return (rows - 1) * base.ne[0] * base.type + tensor.size // rows


def _rows(node: Tensor) -> int:
    """Rows a device works on: tokens of a product, nothing of a look-up (get_op_batch_size)."""
    if any(operand.weight and operand.home < 0 for operand in node.srcs) and _is_lookup(node):
        return 0
    total = 1
    for size in node.ne[1:]:
        total *= size
    return total


def _is_lookup(node: Tensor) -> bool:
    """Rows of a table by number: the other operand is a list of integers."""
    return len(node.srcs) == 2 and node.srcs[1].leaf and len(node.srcs[1].ne) == 1


def device_sizes(
    graph: Graph, *, devices: int, home: Callable[[int], int], pipeline: bool = False
) -> list[int]:
    """Bytes of the compute buffer of each device, GPUs first, the CPU last.

    Args:
        devices: number of devices, the CPU counted.
        home: device of a layer's number, of INPUT_HOME and of OUTPUT_HOME.
        pipeline: all layers are on several GPUs that compute at once, so inputs are kept
            four times (llama_context, src/llama-context.cpp#L440).
    """
    return Scheduler(graph, devices=devices, home=home, pipeline=pipeline).sizes()
