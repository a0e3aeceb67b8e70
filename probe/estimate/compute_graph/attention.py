"""Attention over a cache: where keys and values go, and what is computed from them.

Source: build_qkv, build_attn and build_attn_mha, src/llama-graph.cpp#L1684, #L2943, #L2691,
and src/llama-kv-cache.cpp, llama.cpp b11434.
"""

from typing import Final, NamedTuple

from probe.estimate.compute_graph.core import Core, count
from probe.estimate.compute_graph.ggml import F16, I64, Shape, Tensor
from probe.estimate.kv_cache import CACHE_TYPES

# What attention reads beside weights, by name.
KEYS: Final = "keys"
VALUES: Final = "values"
KEYS_AND_VALUES: Final = "keys and values"


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


class AttentionParts(Core):
    """The parts of attention layers."""

    _caches: dict[bool, Cache] | None = None

    def cache(self, sliding: bool = False) -> Cache:
        """Inputs of the cache of full or of sliding layers, made once."""
        if self._caches is None:
            self._caches = {}
        if sliding not in self._caches:
            h, b, g = self.h, self.batch, self.g
            mine = [i for i in range(h.layers) if h.cached[i] and h.sliding[i] == sliding]
            key = {h.key_size[i] for i in mine}
            value = {h.value_size[i] for i in mine}
            self._caches[sliding] = Cache(
                keys=g.input(b.tokens, type_bytes=I64),
                values=g.input(b.tokens if b.flash else b.tokens * self._widest_values(), type_bytes=I64),
                mask=self.mask(b.cells.sliding if sliding else b.cells.full),
                rotate_k=self._rotation(key, h.key_size[0], b.type_k, grow=True),
                rotate_v=None if h.mla else self._rotation(value, h.value_size[0], b.type_v, grow=False),
            )
        return self._caches[sliding]

    def _widest_values(self) -> int:
        pairs = zip(self.h.kv_heads, self.h.value_size, strict=True)
        return max((heads * size for heads, size in pairs), default=0)

    def _rotation(self, sizes: set[int], first: int, type_name: str, *, grow: bool) -> Tensor | None:
        """The Hadamard matrix that quantized caches rotate heads with (src/llama-kv-cache.cpp#L318)."""
        if len(sizes) != 1 or not quantized(type_name) or first % 64:
            return None
        if any(self.h.recurrent) and any(self.h.sliding):  # build_inp_mem_hybrid_iswa makes none
            return None
        width = 64
        if grow:
            head = next(iter(sizes))
            while head and head % (2 * width) == 0:
                width *= 2
        return self.g.input(width, width)

    def rope(self, x: Tensor, *, positions: Tensor | None = None) -> Tensor:
        """Rotary positions; on a tensor of its own it runs in place."""
        return self.g.over(x, positions or self.position_input())

    def heads(self, x: Tensor, size: int, number: int) -> Tensor:
        """`x` seen as heads."""
        return self.g.view(x, (size, number, *x.ne[1:]))

    def qkv(
        self, x: Tensor, size: int, number: int, kv_number: int, *, value_size: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as heads, from three weights or a fused one."""
        g, value = self.g, value_size or size
        if "attn_qkv.weight" in self.layer:
            fused = self.linear(x, "attn_qkv")
            return (
                g.view(fused, (size, number, self.n)),
                g.view(fused, (size, kv_number, self.n)),
                g.view(fused, (value, kv_number, self.n)),
            )
        q = self.linear(x, "attn_q")
        k = self.linear(x, "attn_k")
        v = self.linear(x, "attn_v")
        return self.heads(q, size, number), self.heads(k, size, kv_number), self.heads(v, value, kv_number)

    def hadamard(self, x: Tensor, rotation: Tensor) -> Tensor:
        """`x` rotated block by block (llama_mul_mat_hadamard, src/llama-impl.h#L57)."""
        width = rotation.ne[0]
        flat = self.g.view(x, (width, count(x.ne) // width))
        return self.g.view(self.g.new(flat.ne, rotation, flat), x.ne)

    def attend(
        self,
        q: Tensor,
        k: Tensor | None,
        v: Tensor | None,
        *,
        output: str | None = "attn_output",
        value_of_key: int | None = None,
        decompress: int | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Store keys and values, attend over the cache, project.

        Args:
            k, v: None where a layer reads another layer's cache.
            output: the projection; None: the caller projects.
            value_of_key: latent attention: values are this many first numbers of the keys.
            decompress: latent attention: width of the values after the up-projection.
            mask: another mask than the cache's (sparse attention).
        """
        g, h, b = self.g, self.h, self.batch
        sliding = h.sliding[self.index]
        cache = self.cache(sliding)
        latent = value_of_key is not None
        if cache.rotate_k is not None and not latent:
            q = self.hadamard(q, cache.rotate_k)
            k = None if k is None else self.hadamard(k, cache.rotate_k)
        if cache.rotate_v is not None and v is not None:
            v = self.hadamard(v, cache.rotate_v)
        self._expand_operands(q, k, v)
        if k is not None:
            g.expand(g.sink(g.view(k), cache.keys))
        if v is not None and not latent:
            g.expand(g.sink(self._values_to_store(v), cache.values))
        value = value_of_key or h.value_size[self.index]
        cells = b.cells.sliding if sliding else b.cells.full
        out = self.mha(
            q,
            cells,
            value,
            cache.mask if mask is None else mask,
            decompress=decompress,
            gpu_extra=self.unpacked_bytes(cells, latent=latent),
            latent=latent,
        )
        if cache.rotate_v is not None and not latent:
            out = self.hadamard(out, cache.rotate_v)
        return out if output is None else self.linear(out, output)

    def _expand_operands(self, q: Tensor, k: Tensor | None, v: Tensor | None) -> None:
        """Windowed caches expand keys before values, the others values first."""
        self.g.expand(q)
        order = (k, v) if self.h.window and any(self.h.sliding) else (v, k)
        for tensor in order:
            if tensor is not None:
                self.g.expand(tensor)

    def _values_to_store(self, v: Tensor) -> Tensor:
        """Values as they are written: without flash attention padded to the widest layer.

        Source: llama_kv_cache::cpy_v, src/llama-kv-cache.cpp#L1353.
        """
        g = self.g
        if self.batch.flash:
            return g.view(v)
        width, widest = count(v.ne) // self.n, self._widest_values()
        flat = g.view(v, (width, self.n))
        base = v.view_of
        if base is not None and not base.external and count(base.ne) != count(v.ne):
            flat = self.cont(v, (width, self.n))  # a part of a wider tensor
        if width < widest:
            flat = g.new((widest, self.n), flat)
        return g.view(flat)

    def unpacked_bytes(self, cells: int, *, latent: bool) -> int:
        """Half-precision copies that CUDA's flash attention makes of a cache in blocks.

        Source: ggml_backend_cuda_buffer_type_get_alloc_size, ggml/src/ggml-cuda/ggml-cuda.cu.
        """
        h, b, i = self.h, self.batch, self.index
        row = 0
        if quantized(b.type_k):
            row += h.kv_heads[i] * h.key_size[i]
        if quantized(b.type_v) and not latent:
            row += h.kv_heads[i] * h.value_size[i]
        return F16 * cells * b.cells.streams * row

    def mha(
        self,
        q: Tensor,
        cells: int,
        value: int,
        mask: Tensor,
        *,
        decompress: int | None = None,
        gpu_extra: int = 0,
        latent: bool = False,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Attention of `q` over `cells` cached tokens.

        Without flash attention the scores of all heads over all cells exist at once.

        Args:
            latent: values are a part of the keys and lie untransposed.
            keys: made in this graph; None: read from the cache.
        """
        g, b = self.g, self.batch
        made = () if keys is None else (keys,)
        streams = b.cells.streams
        size, number, tokens = q.ne[0], q.ne[1], q.ne[2] // streams
        flat = (tokens, number, streams)
        q = g.view(g.view(q, (size, number, tokens, streams)), (size, *flat))
        if b.flash:
            out = g.new((value, number, tokens, streams), q, *made, mask)
            out.gpu_extra = gpu_extra
            out.brings = KEYS_AND_VALUES
            if decompress is not None:
                out = g.new((decompress, *flat), g.view(out, (value, *flat)))
                out = self.cont(g.view(out, (decompress, number, tokens, streams)))
                value = decompress
            out = g.view(out, (value * number, tokens * streams))
        else:
            product = g.new((cells, *flat), *made, q)
            product.brings = KEYS
            scores = g.over(product, mask)
            values: tuple[Tensor, ...] = ()
            if latent:
                block, block_bytes = CACHE_TYPES[b.type_k]
                shape = (cells * value // block, self.h.kv_heads[self.index], streams)
                values = (g.new(shape, *made, type_bytes=block_bytes),)
            out = g.new((value, *flat), *values, scores)
            out.brings = VALUES
            if decompress is not None:
                out = g.new((decompress, *flat), out)
                value = decompress
            out = self.cont(g.view(out, (value, number, tokens, streams)), (value * number, tokens * streams))
        g.expand(out)
        return out


__all__ = ["AttentionParts", "Cache", "Shape", "quantized"]
