"""Tensors, graph order and the graph allocator of ggml, as far as memory depends on them.

A `Graph` takes tensors in the order in which ggml_build_forward_expand visits them and
`peak_bytes` lays them out as ggml_gallocr does: best fit among freed blocks, results of
element-wise operations written over an operand that nobody else reads, outputs kept.

Source: ggml/src/ggml-alloc.c#L168 (ggml_dyn_tallocr_alloc), #L241 (free_bytes), #L611
(ggml_gallocr_allocate_node), #L695 (alloc_graph_impl) and ggml/src/ggml.c
(ggml_visit_parents_graph), llama.cpp b11434. Replaying a graph recorded from the engine
gives its own figure to the byte.
"""

from typing import Final

F32: Final = 4
F16: Final = 2
I32: Final = 4
I64: Final = 8
Shape = tuple[int, ...]


class Tensor:
    """One tensor of a graph: its size, what it is computed from, and whose memory it is.

    `view_of` is the tensor whose memory a view shares; `external` memory (weights, caches)
    is not the graph's own. `inplace` operations may overwrite an operand.
    """

    __slots__ = (
        "children",
        "external",
        "inplace",
        "leaf",
        "ne",
        "offset",
        "output",
        "owned",
        "seen",
        "size",
        "srcs",
        "type",
        "view_of",
        "views",
    )

    def __init__(self, ne: Shape, type_bytes: int, srcs: "tuple[Tensor, ...]") -> None:
        self.ne = ne
        self.type = type_bytes
        self.srcs = srcs
        self.view_of: Tensor | None = None
        self.external = False
        self.inplace = False
        self.leaf = False
        self.output = False
        self.seen = False
        size = type_bytes
        for count in ne:
            size *= count
        self.size = size
        self.children = 0
        self.views = 0
        self.owned = False
        self.offset = 0


class Graph:
    """A graph in the engine's order."""

    def __init__(self) -> None:
        self.nodes: list[Tensor] = []
        self.leafs: list[Tensor] = []

    # -- tensors -----------------------------------------------------------------------

    def input(self, *ne: int, type_bytes: int = F32) -> Tensor:
        """A tensor that is filled from outside before the graph runs."""
        tensor = Tensor(ne, type_bytes, ())
        tensor.leaf = True
        return tensor

    def external(self, *ne: int, type_bytes: int = F32) -> Tensor:
        """Memory that is not the graph's: a cache or a weight that operations read or write."""
        tensor = Tensor(ne, type_bytes, ())
        tensor.leaf = True
        tensor.external = True
        return tensor

    def new(self, ne: Shape, *srcs: Tensor, type_bytes: int = F32) -> Tensor:
        """The result of an operation that needs memory of its own."""
        return Tensor(ne, type_bytes, srcs)

    def over(self, *srcs: Tensor, ne: Shape | None = None) -> Tensor:
        """The result of an element-wise operation, shaped as its first operand unless said."""
        tensor = Tensor(srcs[0].ne if ne is None else ne, srcs[0].type, srcs)
        tensor.inplace = True
        return tensor

    def view(self, source: Tensor, ne: Shape | None = None, *srcs: Tensor) -> Tensor:
        """Another shape of the same memory, or memory that an operation changes in place."""
        tensor = Tensor(source.ne if ne is None else ne, source.type, (*srcs, source))
        tensor.view_of = source.view_of or source
        return tensor

    def sink(self, *srcs: Tensor) -> Tensor:
        """An operation that writes into memory outside the graph: a cache or a state."""
        tensor = Tensor((), F32, srcs)
        tensor.external = True
        return tensor

    # -- order -------------------------------------------------------------------------

    def expand(self, tensor: Tensor) -> None:
        """Append `tensor` and what it needs, operands first, left to right."""
        if tensor.seen:
            return
        tensor.seen = True
        for source in tensor.srcs:
            if not source.seen:
                self.expand(source)
        if tensor.leaf:
            self.leafs.append(tensor)
        else:
            self.nodes.append(tensor)


def peak_bytes(graph: Graph, alignment: int = 32) -> int:
    """Bytes of the buffer that ggml's graph allocator reserves for `graph`.

    Args:
        alignment: of the backend's buffers: 32 for the CPU, 128 for CUDA.
    """
    free: list[list[int]] = [[0, 1 << 62]]  # offset, size; sorted, the last one is endless
    peak = 0
    mask = alignment - 1

    def allocate(size: int) -> int:
        nonlocal peak
        best, best_size = -1, 1 << 63
        for index in range(len(free) - 1):
            room = free[index][1]
            if size <= room <= best_size:
                best, best_size = index, room
        block = free[best]  # -1: the last one
        offset = block[0]
        block[0] += size
        block[1] -= size
        if not block[1]:
            del free[best]
        peak = max(peak, offset + size)
        return offset

    def release(offset: int, size: int) -> None:
        end = offset + size
        for index, block in enumerate(free):
            if block[0] + block[1] == offset:
                block[1] += size
                if index + 1 < len(free) and end == free[index + 1][0]:
                    block[1] += free[index + 1][1]
                    del free[index + 1]
                return
            if end == block[0]:
                block[0] = offset
                block[1] += size
                if index and free[index - 1][0] + free[index - 1][1] == offset:
                    free[index - 1][1] += block[1]
                    del free[index]
                return
            if block[0] > offset:
                free.insert(index, [offset, size])
                return

    def place(tensor: Tensor) -> None:
        if tensor.owned or tensor.external or tensor.view_of is not None:
            return
        tensor.owned = True
        if tensor.inplace:
            for operand in tensor.srcs:
                if (
                    operand.owned
                    and operand.children == 1
                    and not operand.views
                    and not operand.output
                    and operand.ne == tensor.ne
                    and operand.type == tensor.type
                ):
                    tensor.offset = operand.offset
                    operand.owned = False
                    return
        tensor.offset = allocate((tensor.size + mask) & ~mask)

    def discard(tensor: Tensor) -> None:
        if not tensor.output:
            release(tensor.offset, (tensor.size + mask) & ~mask)
            tensor.owned = False

    for leaf in graph.leafs:
        place(leaf)
    for node in graph.nodes:
        if node.view_of is not None:
            node.view_of.views += 1
        for operand in node.srcs:
            operand.children += 1
    for node in graph.nodes:
        place(node)
        for operand in node.srcs:
            operand.children -= 1
            if operand.children or operand.views:
                continue
            base = operand.view_of
            if base is not None:
                base.views -= 1
                if not base.views and not base.children and base.owned:
                    discard(base)
            elif operand.owned:
                discard(operand)
    return peak
