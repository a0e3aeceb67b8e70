"""The parts that llama.cpp's graphs are put together from.

Each method follows one of llm_graph_context (src/llama-graph.cpp, llama.cpp b11434):
what it computes from what, in the engine's order, so that the allocator sees the same
lifetimes. Operations that cannot matter (views of caches, in-place steps on a tensor
that nobody else reads) are left out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from probe.estimate.compute_graph.ggml import F16, F32, I32, I64, Graph, Shape, Tensor
from probe.estimate.kv_cache import CACHE_TYPES, CacheCells
from probe.estimate.llama_hparams import Hparams

LayerTensors = Mapping[str, Shape]  # name after `blk.N.` -> shape

SOFTMAX, SIGMOID, SOFTMAX_WEIGHT, SQRT_SOFTPLUS = 1, 2, 3, 4  # llama_expert_gating_func_type


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


class Cache(NamedTuple):
    """Inputs of one kind of attention cache: where to write, and what may be seen."""

    keys: Tensor
    values: Tensor
    mask: Tensor
    rotate_k: Tensor | None
    rotate_v: Tensor | None


def quantized(type_name: str) -> bool:
    """Whether a cache type is stored in blocks."""
    return CACHE_TYPES[type_name][0] > 1


class Builder:
    """Builds one model's graph; architectures are functions over it."""

    def __init__(
        self,
        h: Hparams,
        batch: Batch,
        outside: LayerTensors,
        layers: tuple[LayerTensors, ...],
    ) -> None:
        self.h = h
        self.batch = batch
        self.outside = outside
        self.layers = layers
        self.g = Graph()
        self.n = batch.tokens
        self.sequence: tuple[int, ...] = tuple(range(h.layers))  # the layers that are built, in order
        self.layer: LayerTensors = outside  # the one being built
        self.index = -1
        self.out_ids: Tensor | None = None
        self.positions: Tensor | None = None
        self._scale: Tensor | None = None
        self._wide: Tensor | None = None
        self.made: dict[str, Tensor] = {}  # what an architecture makes once and several layers use
        self._caches: dict[bool, Cache] = {}
        self.weights = self.g.external()

    # -- weights -----------------------------------------------------------------------

    def enter(self, index: int) -> LayerTensors:
        """Start layer `index`."""
        self.index = index
        self.layer = self.layers[index]
        return self.layer

    def has(self, name: str) -> bool:
        """Whether the current layer has the tensor `name` (with its suffix)."""
        return name in self.layer

    def rows(self, name: str) -> int:
        """Output width of a weight of the current layer."""
        return self.layer[f"{name}.weight"][1]

    # -- element-wise and linear -------------------------------------------------------

    def matmul(self, x: Tensor, rows: int) -> Tensor:
        """A weight of `rows` outputs times `x`."""
        return self.g.new((rows, *x.ne[1:]), x)

    def linear(self, x: Tensor, name: str, *, bias: bool = True) -> Tensor:
        """A weight of the current layer times `x`, with its scale and bias where it has them."""
        y = self.matmul(x, self.rows(name))
        if f"{name}.scale" in self.layer:
            y = self.g.over(y)
        if bias and f"{name}.bias" in self.layer:
            y = self.g.over(y)
        return y

    def norm(self, x: Tensor, name: str | None = None, *, rms: bool = True) -> Tensor:
        """A normalisation and its scale; LayerNorm cannot run in place, RMS norm can."""
        y = self.g.over(x) if rms else self.g.new(x.ne, x)
        if name is None:
            return y
        if f"{name}.weight" in self.layer or f"{name}.weight" in self.outside:
            y = self.g.over(y)
        if f"{name}.bias" in self.layer or f"{name}.bias" in self.outside:
            y = self.g.over(y)
        return y

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum, shaped as `a`."""
        return self.g.over(a, b)

    def cont(self, x: Tensor, ne: Shape | None = None) -> Tensor:
        """A contiguous copy."""
        return self.g.new(x.ne if ne is None else ne, x, type_bytes=x.type)

    # -- inputs ------------------------------------------------------------------------

    def embeddings(self, *, scaled: bool = False, mixed: bool = True, width: int | None = None) -> Tensor:
        """Token embeddings; the reserve pass also holds the paths of image and mixed input.

        Source: build_inp_embd, src/llama-graph.cpp#L2413.
        """
        g, n, full = self.g, self.n, width or self.h.embedding
        narrow = self.h.embedding

        def looked_up(ids: Tensor) -> Tensor:
            rows = g.new((narrow, n), ids)
            return rows if full == narrow else g.new((full, n), rows)

        tokens = g.input(n, type_bytes=I32)
        raw = g.input(full, n)
        chosen = looked_up(tokens)
        g.expand(chosen)
        g.expand(raw)
        if mixed:
            # operands of SET_ROWS in the engine's order: rows, slots, destination
            ids = g.input(n, type_bytes=I32)
            slots = g.input(n, type_bytes=I64)
            copy = g.new((full, n), g.input(full, n))
            g.expand(g.view(copy, None, looked_up(ids), slots))
        if full != narrow:
            self._wide = chosen
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
        if self.positions is None:
            self.positions = self.g.input(self.n * per_token, type_bytes=I32)
        return self.positions

    def attention_scale(self) -> Tensor:
        """Temperature of each token's position (Llama 4, Mistral 3)."""
        if self._scale is None:
            self._scale = self.g.input(1, 1, self.n)
        return self._scale

    def deepstack_slice(self) -> Tensor:
        """The next part of a wide input embedding (Qwen3-VL)."""
        if self._wide is None:
            raise AssertionError("no wide input")
        return self.g.view(self._wide, (self.h.embedding, self.n))

    def output_ids(self) -> Tensor:
        """Which tokens' results are wanted."""
        if self.out_ids is None:
            self.out_ids = self.g.input(self.batch.outputs, type_bytes=I32)
        return self.out_ids

    def pick_outputs(self, x: Tensor) -> Tensor:
        """Only the rows whose results are wanted."""
        return self.g.new((x.ne[0], self.batch.outputs), x, self.output_ids())

    def mask(self, cells: int, *, half: bool | None = None) -> Tensor:
        """What each token may attend to; half precision where a fused operation reads it."""
        b = self.batch
        streams = b.cells.streams
        ne = (cells, b.tokens // streams) if streams == 1 else (cells, b.tokens // streams, 1, streams)
        return self.g.input(*ne, type_bytes=F16 if (b.flash if half is None else half) else F32)

    def cache(self, sliding: bool = False) -> Cache:
        """Inputs of the cache of full or of sliding layers, made once."""
        if sliding not in self._caches:
            h, b, g = self.h, self.batch, self.g
            mine = [i for i in range(h.layers) if h.cached[i] and h.sliding[i] == sliding]
            key = {h.key_size[i] for i in mine}
            value = {h.value_size[i] for i in mine}
            widest = max((h.kv_heads[i] * h.value_size[i] for i in range(h.layers)), default=0)
            self._caches[sliding] = Cache(
                keys=g.input(b.tokens, type_bytes=I64),
                values=g.input(b.tokens if b.flash else b.tokens * widest, type_bytes=I64),
                mask=self.mask(b.cells.sliding if sliding else b.cells.full),
                rotate_k=self._rotation(key, h.key_size[0], b.type_k, grow=True),
                rotate_v=None if h.mla else self._rotation(value, h.value_size[0], b.type_v, grow=False),
            )
        return self._caches[sliding]

    def _rotation(self, sizes: set[int], first: int, type_name: str, *, grow: bool) -> Tensor | None:
        """The Hadamard matrix that quantized caches rotate heads with (src/llama-kv-cache.cpp#L318)."""
        if len(sizes) != 1 or not quantized(type_name) or first % 64:
            return None
        width = 64
        if grow:
            head = next(iter(sizes))
            while head % (2 * width) == 0:
                width *= 2
        return self.g.input(width, width)

    # -- attention ---------------------------------------------------------------------

    def rope(self, x: Tensor, *, positions: Tensor | None = None) -> Tensor:
        """Rotary positions; on a tensor of its own it runs in place."""
        return self.g.over(x, positions or self.position_input())

    def heads(self, x: Tensor, size: int, count: int) -> Tensor:
        """`x` seen as heads."""
        return self.g.view(x, (size, count, *x.ne[1:]))

    def qkv(
        self,
        x: Tensor,
        size: int,
        count: int,
        kv_count: int,
        value_size: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as heads, from three weights or a fused one.

        Source: build_qkv, src/llama-graph.cpp#L1684.
        """
        g, value = self.g, value_size or size
        if "attn_qkv.weight" in self.layer:
            fused = self.linear(x, "attn_qkv")
            return (
                g.view(fused, (size, count, self.n)),
                g.view(fused, (size, kv_count, self.n)),
                g.view(fused, (value, kv_count, self.n)),
            )
        q = self.linear(x, "attn_q")
        k = self.linear(x, "attn_k")
        v = self.linear(x, "attn_v")
        return self.heads(q, size, count), self.heads(k, size, kv_count), self.heads(v, value, kv_count)

    def hadamard(self, x: Tensor, rotation: Tensor) -> Tensor:
        """`x` rotated block by block (llama_mul_mat_hadamard, src/llama-impl.h#L57)."""
        width = rotation.ne[0]
        flat = self.g.view(x, (width, _count(x.ne) // width))
        return self.g.view(self.g.new(flat.ne, rotation, flat), x.ne)

    def attend(
        self,
        q: Tensor,
        k: Tensor | None,
        v: Tensor | None,
        *,
        output: str | None = "attn_output",
        cache: Cache | None = None,
        value_of_key: int | None = None,
        decompress: int | None = None,
        mask: Tensor | None = None,
        bias: bool = True,
    ) -> Tensor:
        """Store keys and values, attend over the cache, project.

        Args:
            k, v: None where a layer reads another layer's cache (Gemma 3n and 4).
            value_of_key: latent attention: values are this many first numbers of the keys.
            decompress: latent attention: width of the values after the up-projection.
            mask: another mask than the cache's (sparse attention).

        Source: build_attn, src/llama-graph.cpp#L2943, #L3056, #L3190.
        """
        g, h, b = self.g, self.h, self.batch
        sliding = h.sliding[self.index]
        cache = cache or self.cache(sliding)
        if cache.rotate_k is not None and value_of_key is None:
            q = self.hadamard(q, cache.rotate_k)
            k = None if k is None else self.hadamard(k, cache.rotate_k)
        if cache.rotate_v is not None and v is not None:
            v = self.hadamard(v, cache.rotate_v)
        self._expand_operands(q, k, v)
        if k is not None:
            g.expand(g.sink(g.view(k), cache.keys))
        if v is not None and value_of_key is None:
            g.expand(g.sink(self._stored_values(v), cache.values))
        kv_heads, size = h.kv_heads[self.index], h.key_size[self.index]
        value = value_of_key or h.value_size[self.index]
        cells = b.cells.sliding if sliding else b.cells.full
        out = self.mha(
            q,
            (size, kv_heads, cells),
            value,
            cache.mask if mask is None else mask,
            decompress=decompress,
            copied_value=None if value_of_key is None else b.type_k,
        )
        if cache.rotate_v is not None and value_of_key is None:
            out = self.hadamard(out, cache.rotate_v)
        return out if output is None else self.linear(out, output, bias=bias)

    def _expand_operands(self, q: Tensor, k: Tensor | None, v: Tensor | None) -> None:
        """Windowed caches expand keys before values, the others values first."""
        g = self.g
        g.expand(q)
        order = (k, v) if self.h.window and any(self.h.sliding) else (v, k)
        for tensor in order:
            if tensor is not None:
                g.expand(tensor)

    def _stored_values(self, v: Tensor) -> Tensor:
        """Values as they are written: without flash attention padded to the widest layer.

        Source: llama_kv_cache::cpy_v, src/llama-kv-cache.cpp#L1353.
        """
        g, h = self.g, self.h
        if self.batch.flash:
            return g.view(v)
        width = _count(v.ne) // self.n
        widest = max((k * s for k, s in zip(h.kv_heads, h.value_size, strict=True)), default=0)
        flat = g.view(v, (width, self.n))
        if not self.contiguous(v):
            flat = self.cont(v, (width, self.n))
        if width < widest:
            flat = g.new((widest, self.n), flat)
        return g.view(flat)

    def contiguous(self, x: Tensor) -> bool:
        """Whether a view covers its source without gaps."""
        base = x.view_of
        return base is None or base.external or _count(base.ne) == _count(x.ne)

    def mha(
        self,
        q: Tensor,
        keys: Shape,
        value: int,
        mask: Tensor | None,
        *,
        decompress: int | None = None,
        flash: bool | None = None,
        copied_value: str | None = None,
        extra: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Attention of `q` over cached keys (size, heads, cells).

        Without flash attention the scores of all heads over all cells exist at once.

        Args:
            copied_value: cache type of values that lie untransposed (a part of the keys)
                and are copied before use; only without flash attention.

        Source: build_attn_mha, src/llama-graph.cpp#L2691.
        """
        g, b = self.g, self.batch
        streams = b.cells.streams if b.cells.streams > 1 and mask is not None else 1
        size, count = q.ne[0], q.ne[1]
        tokens = q.ne[2] // streams if len(q.ne) > 2 else self.n
        cells = keys[2]
        q = g.view(g.view(q, (size, count, tokens, streams)), (size, tokens, count, streams))
        operands = (q, *extra) if mask is None else (q, *extra, mask)
        if b.flash if flash is None else flash:
            out = g.new((value, count, tokens, streams), *operands)
            if decompress is not None:
                out = g.new(
                    (decompress, tokens, count, streams), g.view(out, (value, tokens, count, streams))
                )
                out = self.cont(g.view(out, (decompress, count, tokens, streams)))
                value = decompress
            out = g.view(out, (value * count, tokens * streams))
        else:
            scores = g.new((cells, tokens, count, streams), *(q, *extra))
            scores = g.over(scores) if mask is None else g.over(scores, mask)
            copied = []
            if copied_value is not None:
                block, size_bytes = CACHE_TYPES[copied_value]
                copied = [g.new((cells * value // block, keys[1], streams), type_bytes=size_bytes)]
            out = g.new((value, tokens, count, streams), *copied, scores)
            if decompress is not None:
                out = g.new((decompress, tokens, count, streams), out)
                value = decompress
            out = self.cont(g.view(out, (value, count, tokens, streams)), (value * count, tokens * streams))
        g.expand(out)
        return out

    # -- feed-forward ------------------------------------------------------------------

    def ffn(
        self,
        x: Tensor,
        up: str = "ffn_up",
        gate: str = "ffn_gate",
        down: str = "ffn_down",
        *,
        fused: bool = False,
    ) -> Tensor:
        """A feed-forward network; gated where the layer has a gate.

        Args:
            fused: one weight holds gate and up (Phi-3, ChatGLM, GLM-4).

        Source: build_ffn, src/llama-graph.cpp#L1799.
        """
        g = self.g
        wide = self.linear(x, up)
        if fused:
            active = g.new((wide.ne[0] // 2, *wide.ne[1:]), wide)
        elif f"{gate}.weight" in self.layer:
            gated = self.linear(x, gate)
            active = g.new(gated.ne, gated, wide)
        else:
            active = g.over(wide)
        if "ffn_sub_norm.weight" in self.layer:
            active = self.norm(active, "ffn_sub_norm")
        return self.linear(active, down)

    def moe(
        self,
        x: Tensor,
        *,
        gating: int = SOFTMAX,
        normalized: bool = True,
        weigh_input: bool = False,
        router: Tensor | None = None,
        selected: Tensor | None = None,
        used: int | None = None,
        suffix: str = "exps",
        experts: int | None = None,
        groups: int | None = None,
        clamp: bool = False,
    ) -> Tensor:
        """A mixture of experts.

        Args:
            weigh_input: the router's weights scale the input (Llama 4), not the output.
            router: logits computed elsewhere.
            selected: experts chosen elsewhere.

        Source: build_moe_ffn, src/llama-graph.cpp#L2044.
        """
        g, n, h = self.g, x.ne[1], self.h
        width = x.ne[0]
        count = experts or h.experts
        k = used or h.experts_used[self.index]
        logits = router
        if logits is None:
            logits = self.matmul(x, count)
            if "ffn_gate_inp.bias" in self.layer:
                logits = g.over(logits)
        probs = logits
        if gating == SQRT_SOFTPLUS:
            probs = g.over(g.over(logits))
        elif gating != SOFTMAX_WEIGHT:
            probs = g.over(logits)
        choice = g.over(probs) if "exp_probs_b.bias" in self.layer and suffix == "exps" else probs
        if weigh_input:
            choice = logits
        groups = h.number("expert_group_count", 0) if groups is None else groups
        if groups > 1:
            choice = self._grouped(choice, count, groups, h.number("expert_group_used_count", 1))
        if selected is None:
            selected = g.view(g.new((count, n), choice, type_bytes=I32), (k, n))
        weights = g.new((1, k, n), g.view(probs, (1, count, n)), selected)
        if gating == SOFTMAX_WEIGHT:
            weights = g.view(g.over(g.view(weights, (k, n))), (1, k, n))
        if normalized:
            flat = g.view(weights, (k, n))
            total = g.over(g.new((1, n), flat))
            weights = g.view(g.over(flat, total), (1, k, n))
        scale = h.metadata.get(f"{h.architecture}.expert_weights_scale", 0.0)
        if isinstance(scale, (int, float)) and scale not in (0, 1):
            weights = g.over(weights)
        g.expand(weights)
        x = g.view(x, (width, 1, n))
        if weigh_input:
            x = g.over(g.new((width, k, n), x), weights)
        up, x = self._expert_inputs(x, selected, k, suffix)
        if up is None:
            active = g.over(x)
        elif clamp:
            up = g.over(up)
            active = g.over(g.over(g.over(x)), up)
        else:
            active = g.new(x.ne, x, up)
        out = g.new((self.layer[f"ffn_down_{suffix}.weight"][1], k, n), active, selected)
        if f"ffn_down_{suffix}.scale" in self.layer:
            out = g.over(out)
        if f"ffn_down_{suffix}.bias" in self.layer:
            out = g.over(out, selected)
        if not weigh_input:
            out = g.over(out, weights)
        g.expand(out)
        parts = [g.view(out, (out.ne[0], n)) for _ in range(k)]
        for part in parts:
            g.expand(part)
        total = parts[0]
        for part in parts[1:]:
            total = g.over(total, part)
            g.expand(total)
        return self.cont(total) if k == 1 else total

    def _expert_inputs(
        self, x: Tensor, selected: Tensor, k: int, suffix: str
    ) -> tuple[Tensor | None, Tensor]:
        """Up and gate projections of the chosen experts; up is None without a gate."""
        g, n, layer = self.g, x.ne[2], self.layer
        merged = f"ffn_gate_up_{suffix}.weight"
        if merged in layer:
            both = g.new((layer[merged][1], k, n), x, selected)
            half = (both.ne[0] // 2, k, n)
            gate = g.view(both, half)
            return g.view(both, half), gate

        def project(name: str) -> Tensor:
            y = g.new((layer[f"{name}.weight"][1], k, n), x, selected)
            if f"{name}.bias" in layer:
                y = g.over(y, selected)
            return y

        up = project(f"ffn_up_{suffix}")
        if f"ffn_gate_{suffix}.weight" not in layer:
            return None, up
        return up, project(f"ffn_gate_{suffix}")

    def _grouped(self, choice: Tensor, count: int, groups: int, used: int) -> Tensor:
        """Scores with the experts of all but the best groups masked out."""
        g, n = self.g, choice.ne[1]
        per = count // groups
        grouped = g.view(choice, (per, groups, n))
        best = g.view(g.new((per, groups, n), grouped, type_bytes=I32), (2, groups, n))
        scores = g.new((1, 2, groups, n), g.view(grouped, (1, per, groups, n)), best)
        sums = g.new((1, groups, n), g.view(scores, (2, groups, n)))
        top = g.view(g.new((groups, n), g.view(sums, (groups, n)), type_bytes=I32), (used, n))
        kept = g.new((per, used, n), grouped, top)
        blank = g.over(grouped)
        return g.view(g.view(blank, None, kept, top), (count, n))

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
        self.layer = self.outside
        if norm is not None:
            x = self.norm(x, norm, rms=rms)
        x.output = True
        if scaled:
            x = self.g.over(x)
        if logits:
            x = self.matmul(x, self.h.vocabulary)
            if "output.bias" in self.outside:
                x = self.g.over(x)
            x.output = True
        self.g.expand(x)
        return self.g

    def late_head(self, x: Tensor, *, norm: str = "output_norm") -> Graph:
        """As `head`, but wanted rows are picked after the norm, whose full result is an output too."""
        self.layer = self.outside
        hidden = self.norm(x, norm)
        hidden.output = True
        return self.head(self.pick_outputs(hidden), norm=None)


def _count(ne: Shape) -> int:
    total = 1
    for size in ne:
        total *= size
    return total
