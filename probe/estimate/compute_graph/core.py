"""What every graph is built with: weights, norms, inputs, and the head at the end.

The methods follow llm_graph_context (src/llama-graph.cpp, llama.cpp b11434): what is
computed from what, in the engine's order, so that the allocator sees the same lifetimes.
Views of caches and in-place steps on a tensor that nobody else reads are left out: they
take no memory and free none.
"""

from collections.abc import Mapping
from typing import NamedTuple

from probe.estimate.compute_graph.ggml import (
    F16,
    F32,
    I32,
    I64,
    Graph,
    Shape,
    Tensor,
)
from probe.estimate.kv_cache import CacheCells
from probe.estimate.llama_hparams import Hparams
from probe.estimate.not_modeled import UNKNOWN_SHAPES, NotModeledError

LayerTensors = Mapping[str, Shape]  # name after `blk.N.` -> shape


class Batch(NamedTuple):
    """One reserve pass: a full physical batch spread over all sequences."""

    tokens: int
    sequences: int
    outputs: int
    cells: CacheCells
    flash: bool
    type_k: str
    type_v: str

    @property
    def per_sequence(self) -> int:
        """Tokens of each sequence."""
        return self.tokens // self.sequences


class Core:
    """One graph under construction."""

    def __init__(
        self,
        h: Hparams,
        batch: Batch,
        outside: LayerTensors,
        layers: tuple[LayerTensors, ...],
        *,
        sequence: tuple[int, ...] | None = None,
        continued: bool = False,
    ) -> None:
        """A graph of the layers in `sequence`, all of them unless said.

        Args:
            continued: the first layers ran elsewhere: the residual stream is an input.
        """
        self.h = h
        self.batch = batch
        self.outside = outside
        self.layers = layers
        self.sequence = tuple(range(h.layers)) if sequence is None else sequence
        self.g = Graph()
        self.n = batch.tokens
        self.layer: LayerTensors = outside  # the one being built
        self.index = -1
        self.made: dict[str, Tensor] = {}  # what is made once and several layers use
        self.wide: Tensor | None = None  # the whole input embedding where it is wider than the stream
        self.continued = continued
        self._handed: Tensor | None = None  # the stream of the layers before

    # -- weights -----------------------------------------------------------------------

    def enter(self, index: int) -> LayerTensors:
        """Start layer `index`."""
        self.index = index
        self.layer = self.layers[index]
        return self.layer

    def has(self, name: str) -> bool:
        """Whether the current layer has the tensor `name` (with its suffix)."""
        return name in self.layer

    def has_norm(self, name: str) -> bool:
        """Whether the current layer has this norm; some loaders name it without `.weight`."""
        return f"{name}.weight" in self.layer or name in self.layer

    def rows(self, name: str) -> int:
        """Output width of a weight of the current layer, or of one outside the layers."""
        full = f"{name}.weight"
        shape = self.layer.get(full) or self.outside.get(full)
        if shape is None:
            raise NotModeledError(UNKNOWN_SHAPES, architecture=self.h.architecture, missing=full)
        return shape[1] if len(shape) > 1 else 1

    # -- element-wise and linear -------------------------------------------------------

    def matmul(self, x: Tensor, name: str, rows: int | None = None) -> Tensor:
        """The weight `name` times `x`."""
        count = self.rows(name) if rows is None else rows
        y = self.g.new((count, *x.ne[1:]), x)
        y.brings = name
        return y

    def linear(self, x: Tensor, name: str, *, bias: bool = True) -> Tensor:
        """The weight `name` times `x`, with its scale and bias where it has them."""
        y = self.matmul(x, name)
        if f"{name}.scale" in self.layer:
            y = self.g.over(y)
        if bias and f"{name}.bias" in self.layer:
            y = self.g.over(y)
        return y

    def norm(self, x: Tensor, name: str | None = None, *, rms: bool = True) -> Tensor:
        """A normalisation and its scale; RMS norm can run in place, LayerNorm cannot."""
        if x is self._handed:  # normed where it comes from, and handed over a second time
            x, self._handed = self.g.input(*x.ne), None
        y = self.g.over(x) if rms else self.g.new(x.ne, x)
        if name is None:
            return y
        for suffix in ("", ".weight", ".bias"):
            full = name + suffix
            if full in self.layer or full in self.outside:
                y = self.g.over(y)
        return y

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum, shaped as `a`."""
        return self.g.over(a, b)

    def cont(self, x: Tensor, ne: Shape | None = None) -> Tensor:
        """A contiguous copy."""
        return self.g.new(x.ne if ne is None else ne, x, type_bytes=x.type)

    # -- inputs ------------------------------------------------------------------------

    def embeddings(self, *, scaled: bool = False, width: int | None = None) -> Tensor:
        """Token embeddings; the reserve pass also holds the paths of image and mixed input.

        Source: build_inp_embd, src/llama-graph.cpp#L2413.
        """
        g, n, narrow = self.g, self.n, self.h.embedding
        full = width or narrow
        if self.continued:
            self._handed = g.input(narrow, n)
            if full != narrow:
                self.wide = g.input(full, n)
            return self._handed

        def looked_up(ids: Tensor) -> Tensor:
            rows = g.new((narrow, n), ids)
            rows.on_host = True
            return rows if full == narrow else g.new((full, n), rows)  # widened where the next node runs

        tokens = g.input(n, type_bytes=I32)
        self.made["tokens"] = tokens
        raw = g.input(full, n)
        chosen = looked_up(tokens)
        g.expand(chosen)
        g.expand(raw)
        if self.h.architecture not in _NO_MIXED_INPUT:
            ids = g.input(n, type_bytes=I32)
            slots = g.input(n, type_bytes=I64)
            copy = g.new((full, n), g.input(full, n))
            # operands of SET_ROWS in the engine's order: rows, slots, destination
            g.expand(g.view(copy, None, looked_up(ids), slots))
        if full != narrow:
            self.wide = chosen
            chosen = g.view(chosen, (narrow, n))
        if scaled:
            rows = g.input(1, n)
            if full != narrow:
                chosen = self.cont(chosen)
            chosen = g.over(chosen, rows)
        g.expand(chosen)
        return chosen

    def position_input(self, per_token: int = 1) -> Tensor:
        """Positions of the batch's tokens."""
        if "positions" not in self.made:
            self.made["positions"] = self.g.input(self.n * per_token, type_bytes=I32)
        return self.made["positions"]

    def attention_scale(self) -> Tensor:
        """Temperature of each token's position (Llama 4, Mistral 3)."""
        if "temperature" not in self.made:
            self.made["temperature"] = self.g.input(1, 1, self.n)
        return self.made["temperature"]

    def pick_outputs(self, x: Tensor) -> Tensor:
        """Only the rows whose results are wanted."""
        if "outputs" not in self.made:
            self.made["outputs"] = self.g.input(self.batch.outputs, type_bytes=I32)
        return self.g.new((x.ne[0], self.batch.outputs), x, self.made["outputs"])

    def mask(self, cells: int, *, half: bool | None = None) -> Tensor:
        """What each token may attend to; half precision where a fused operation reads it."""
        b = self.batch
        streams = b.cells.streams
        ne = (cells, b.tokens // streams) if streams == 1 else (cells, b.tokens // streams, 1, streams)
        return self.g.input(*ne, type_bytes=F16 if (b.flash if half is None else half) else F32)

    # -- the end -----------------------------------------------------------------------

    def head(
        self,
        x: Tensor,
        *,
        norm: str | None = "output_norm",
        rms: bool = True,
        logits: bool = True,
        scaled: bool = False,
    ) -> Graph:
        """Final norm and logits; both are outputs and never freed."""
        self.layer, self.index = self.outside, -1
        if norm is not None:
            x = self.norm(x, norm, rms=rms)
        x.output = True
        if scaled:
            x = self.g.over(x)
        if logits:
            x = self.g.new((self.h.vocabulary, *x.ne[1:]), x)
            if "output.bias" in self.outside:
                x = self.g.over(x)
            x.output = True
            self.g.logits = x
        self.g.expand(x)
        return self.g

    def late_head(self, x: Tensor, *, norm: str = "output_norm") -> Graph:
        """As `head`, but wanted rows are picked after the norm, whose full result is an output too."""
        self.layer, self.index = self.outside, -1
        hidden = self.norm(x, norm)
        hidden.output = True
        return self.head(self.pick_outputs(hidden), norm=None)


# llm_arch_supports_mixed_batch, src/llama-arch.cpp#L1182
_NO_MIXED_INPUT = frozenset({"cogvlm", "deepseek4", "graniteswitch", "eagle3", "dflash", "gemma4-assistant"})


def count(ne: Shape) -> int:
    """Number of elements."""
    total = 1
    for size in ne:
        total *= size
    return total
