"""ggml's graph allocator: how many bytes a graph's own tensors need.

Source: ggml/src/ggml-alloc.c#L168 (ggml_dyn_tallocr_alloc), #L241 (free_bytes), #L611
(ggml_gallocr_allocate_node), #L695 (alloc_graph_impl), llama.cpp b11434. Replaying a graph
recorded from the engine gives its own figure to the byte.
"""

from collections.abc import Sequence
from typing import Final

from probe.estimate.compute_graph.ggml import Tensor

CPU_ALIGNMENT: Final = 32  # TENSOR_ALIGNMENT, ggml/src/ggml-impl.h
_ENDLESS: Final = 1 << 62


class Buffer:
    """Free blocks of one device's buffer: best fit, neighbours merged, the last block endless."""

    __slots__ = ("free", "mask", "peak")

    def __init__(self, alignment: int) -> None:
        self.free: list[list[int]] = [[0, _ENDLESS]]  # offset, size; sorted by offset
        self.mask = alignment - 1
        self.peak = 0

    def allocate(self, size: int) -> int:
        """Offset of a new block."""
        size = (size + self.mask) & ~self.mask
        free = self.free
        best, best_size = -1, _ENDLESS
        for index in range(len(free) - 1):
            room = free[index][1]
            if size <= room <= best_size:
                best, best_size = index, room
        block = free[best]  # -1: the last one
        offset = block[0]
        block[0] = end = offset + size
        block[1] -= size
        if not block[1]:
            del free[best]
        self.peak = max(self.peak, end)
        return offset

    def end_with(self, size: int) -> int:
        """End of what is in use once a further block of this size is."""
        free, last = self.free, self.free[-1][0]
        return last if any(block[1] >= size for block in free[:-1]) else last + size

    def release(self, offset: int, size: int) -> None:
        """Give a block back."""
        size = (size + self.mask) & ~self.mask
        free, end = self.free, offset + size
        for index, block in enumerate(free):
            start = block[0]
            if start + block[1] == offset:
                block[1] += size
                if index + 1 < len(free) and end == free[index + 1][0]:
                    block[1] += free[index + 1][1]
                    del free[index + 1]
                return
            if end == start:
                block[0] = offset
                block[1] += size
                if index and free[index - 1][0] + free[index - 1][1] == offset:
                    free[index - 1][1] += block[1]
                    del free[index]
                return
            if start > offset:
                free.insert(index, [offset, size])
                return


class Allocation:
    """One pass over a graph in execution order."""

    def __init__(self, alignment: int) -> None:
        """An empty buffer."""
        self.buffer = Buffer(alignment)

    def place(self, tensor: Tensor) -> None:
        """Give a tensor memory: an operand's where it may be overwritten, else its own."""
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
        tensor.offset = self.buffer.allocate(tensor.size)

    def discard(self, tensor: Tensor) -> None:
        """Free a tensor that nobody reads any more; outputs stay."""
        if not tensor.output:
            self.buffer.release(tensor.offset, tensor.size)
            tensor.owned = False

    def run(
        self,
        leafs: Sequence[Tensor],
        nodes: Sequence[Tensor],
        readings: dict[str, int] | None = None,
    ) -> None:
        """Lay out `nodes` in order.

        Args:
            readings: filled with the most that is in use beside each weight or cache when an
                operation reads it, should it need room of its own.
        """
        for leaf in leafs:
            self.place(leaf)
        for node in nodes:
            if node.view_of is not None:
                node.view_of.views += 1
            for operand in node.srcs:
                operand.children += 1
        for node in nodes:
            if readings is not None and node.brings:
                used = self.buffer.end_with(node.size)
                if used > readings.get(node.brings, 0):
                    readings[node.brings] = used
            self.place(node)
            for operand in node.srcs:
                operand.children -= 1
                if operand.children or operand.views:
                    continue
                base = operand.view_of
                if base is not None:
                    base.views -= 1
                    if not base.views and not base.children and base.owned:
                        self.discard(base)
                elif operand.owned:
                    self.discard(operand)


def peak_bytes(leafs: Sequence[Tensor], nodes: Sequence[Tensor], alignment: int = CPU_ALIGNMENT) -> int:
    """Bytes of the one buffer that ggml reserves when everything runs on one device."""
    allocation = Allocation(alignment)
    allocation.run(leafs, nodes)
    return allocation.buffer.peak
