"""Tensors and graphs of ggml, as far as memory depends on them.

Source: ggml/src/ggml.c (ggml_visit_parents_graph), llama.cpp b11434.
"""

from typing import Final

F32: Final = 4
F16: Final = 2
I32: Final = 4
I64: Final = 8
Shape = tuple[int, ...]


class Tensor:
    """One tensor of a graph: its size, what it is computed from, and whose memory it is.

    `view_of` is the tensor whose memory a view shares. `external` memory (caches, states) is
    not the graph's own. `inplace` operations may overwrite an operand. `on_host` is a look-up
    in a table that stays in host memory, or an input, `gpu_extra` what CUDA's flash attention takes beside
    its result, `brings` the weight or cache that this operation reads.
    """

    __slots__ = (
        "brings",
        "children",
        "external",
        "gpu_extra",
        "inplace",
        "leaf",
        "ne",
        "offset",
        "on_host",
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
        self.on_host = False
        self.gpu_extra = 0
        self.brings = ""
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
        self.logits: Tensor | None = None

    # -- tensors -----------------------------------------------------------------------

    def input(self, *ne: int, type_bytes: int = F32) -> Tensor:
        """A tensor that is filled from outside before the graph runs: on the host."""
        tensor = Tensor(ne, type_bytes, ())
        tensor.leaf = tensor.on_host = True
        return tensor

    def blank(self, *ne: int, type_bytes: int = F32) -> Tensor:
        """A leaf that nobody fills; it lies where its reader runs."""
        tensor = Tensor(ne, type_bytes, ())
        tensor.leaf = True
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
        if not tensor.leaf:
            self.nodes.append(tensor)
        elif not tensor.external:
            self.leafs.append(tensor)
