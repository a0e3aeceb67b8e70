"""What each layer of a model keeps in vLLM's KV cache on one GPU.

Source throughout: vllm 0.32.0, v1/kv_cache_interface.py (page sizes) and the attention layers of
model_executor/models/; quirks name their file.
"""

import json
from functools import lru_cache
from typing import Any, Final

import msgspec

from probe.catalog.files import read_data
from probe.catalog.model_spec import Dimensions, LayerKind, ModelSpec
from probe.engines.vllm_platform import (
    DTYPE_BYTES,
    AttentionUse,
    Capability,
    attention_backend,
    kernel_block,
)
from probe.engines.vllm_states import is_mamba2, state_bytes
from probe.model_files.config_view import text_model_type

# model types whose attention keeps one latent vector a token (model_arch_config_convertor.py#L330)
_LATENT_TYPES: Final = (
    "axk1", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots3_note", "glm5_next", "glm5_next_text",
    "glm_moe_dsa", "glm4_moe_lite", "kimi_k2", "kimi_k25", "kimi_linear", "longcat_flash",
    "pangu_ultra_moe", "bailing_hybrid", "hy_v4", "mistral3", "mistral4",
)  # fmt: skip
_SPARSE_TYPES: Final = ("deepseek_v32", "glm_moe_dsa")
_NOT_MODELED: Final = (
    "deepseek_v4", "glm5_next", "qwen4_exp", "hy_v4", "minimax_m3", "inkling", "hrm_text", "dots3_note",
)  # fmt: skip
_FALCON: Final = ("falcon", "RefinedWeb", "RefinedWebModel")
_SINKS_EVERYWHERE: Final = ("gpt_oss", "granite")  # others have them in windowed layers only
_COHERE_WINDOWS: Final = ("cohere2", "cohere2_moe", "cohere2_vision")
_SPARSE_FP8_BYTES: Final = 656  # fp8_ds_mla: latent, rope part and scales packed (mla_attention.py#L1366)
_INDEX_SCALE_BYTES: Final = (
    4  # one float32 scale per key of the indexer (models/deepseek_v32/attention.py#L95)
)
_ENCODERS: Final = ("bert", "xlm-roberta", "roberta", "nomic_bert", "new", "modernbert")


class CachedLayer(msgspec.Struct, frozen=True):
    """One layer's demand. `kind`: full, mla, sliding, chunked or state."""

    kind: str
    token_bytes: int = 0  # attention kinds: one token on one GPU
    window: int = 0  # sliding window or chunk
    state_bytes: int = 0
    checkpoint_blocks: int = 0  # Mamba 2 keeps one more state while a prompt is read
    backend: str | None = None
    role: str = ""  # an indexer's cache beside the attention layer it serves


class ModelCache(msgspec.Struct, frozen=True):
    """All cached layers, in the order vLLM registers them."""

    layers: tuple[CachedLayer, ...]
    latent: bool = False
    dtype: str = "bfloat16"
    fp8: bool = False  # keys and values are stored in FP8

    @property
    def hybrid(self) -> bool:
        """States and attention side by side: their pages must be equal."""
        kinds = {layer.kind for layer in self.layers}
        return "state" in kinds and len(kinds) > 1

    def backends(self) -> tuple[str | None, ...]:
        """Attention backends in use, each once."""
        return tuple(dict.fromkeys(layer.backend for layer in self.layers if layer.kind != "state"))


@lru_cache(maxsize=1)
def _registry() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(read_data("catalogs/engines/vllm_models.json"))
    document["names"] = frozenset(document["architectures"]) | frozenset(document["pooling"])
    document["compatible"] = frozenset(document["transformers_backend"])
    return document


def architecture_of(spec: ModelSpec) -> str | None:
    """The class name vLLM looks up: the file's own, else what transformers names for the model type."""
    return spec.hf_architecture or _registry()["model_types"].get(spec.model_type or "")


def implemented(spec: ModelSpec) -> bool | None:
    """True: vLLM has its own class. False: transformers has one that vLLM can run. None: neither.

    Models of transformers run through vLLM's Transformers backend as long as every
    layer is attention (models/transformers/base.py#L620).
    """
    name = architecture_of(spec)
    registry = _registry()
    if name in registry["names"]:
        return True
    return False if name in registry["compatible"] else None


def text_type(spec: ModelSpec) -> str:
    """Model type of the language model: the nested one where a config.json nests it."""
    if spec.hf_config is not None:
        return text_model_type(spec.hf_config) or ""
    return spec.model_type or ""


def is_modeled(spec: ModelSpec) -> bool:
    """Whether this file knows the model's cache layout."""
    return spec.dimensions is not None and not text_type(spec).startswith(_NOT_MODELED)


def model_cache(
    spec: ModelSpec,
    d: Dimensions,
    *,
    tp: int,
    dtype: str,
    fp8: bool,
    capability: Capability,
    image_prefix: bool,
) -> ModelCache:
    """Every cached layer of the model on one of `tp` GPUs.

    Shapes that TP does not divide are refused before (vllm_rejections), so divisions
    here are exact or rounded as vLLM rounds them.
    """
    model_type = text_type(spec)
    latent = bool(d.kv_lora_rank) and (model_type in _LATENT_TYPES or implemented(spec) is False)
    if model_type in _ENCODERS:
        return ModelCache((), dtype=dtype)
    fp8 = fp8 and model_type not in _FALCON  # falcon.py#L173 does not pass the cache settings on
    reader = _Reader(
        d,
        model_type,
        tp=tp,
        dtype=dtype,
        fp8=fp8,
        capability=capability,
        image_prefix=image_prefix,
    )
    layers: list[CachedLayer] = []
    sublayers = 2 if model_type == "longcat_flash" else 1  # two attentions in each layer (longcat_flash.py)
    for index in range(sublayers * (d.num_hidden_layers - (d.num_kv_shared_layers or 0))):
        kind = d.kind_of(index)
        if kind in {LayerKind.MAMBA, LayerKind.LINEAR, LayerKind.CONV, LayerKind.PARALLEL}:
            layers.append(reader.state(kind, from_file=spec.hf_config is not None))
        if kind in {LayerKind.FULL, LayerKind.SLIDING, LayerKind.PARALLEL}:
            layers.extend(reader.latent(index) if latent else reader.attention(kind, index))
    return ModelCache(tuple(layers), latent=latent, dtype=dtype, fp8=fp8)


class _Reader:
    """Layer demands of one model under one request; equal layers are built once."""

    def __init__(
        self,
        d: Dimensions,
        model_type: str,
        *,
        tp: int,
        dtype: str,
        fp8: bool,
        capability: Capability,
        image_prefix: bool,
    ) -> None:
        self._d = d
        self._type = model_type
        self._tp = tp
        self._dtype = dtype
        self._fp8 = fp8
        self._capability = capability
        self._image_prefix = image_prefix
        self._element = 1 if fp8 else DTYPE_BYTES[dtype]
        self._states: dict[LayerKind, CachedLayer] = {}
        self._attention: dict[tuple[LayerKind, int], CachedLayer] = {}

    def state(self, kind: LayerKind, *, from_file: bool) -> CachedLayer:
        """A Mamba, linear-attention or convolution layer."""
        if kind not in self._states:
            d = self._d
            size = state_bytes(d, self._type, kind, tp=self._tp, dtype=self._dtype, from_file=from_file)
            mamba2 = kind in {LayerKind.MAMBA, LayerKind.PARALLEL} and is_mamba2(d)
            self._states[kind] = CachedLayer("state", state_bytes=size, checkpoint_blocks=int(mamba2))
        return self._states[kind]

    def attention(self, kind: LayerKind, index: int) -> tuple[CachedLayer, ...]:
        """Keys and values of a full, sliding or chunked layer; nothing for layers without heads."""
        heads = self._kv_heads(kind, index)
        if heads == 0:
            return ()
        key = (kind, heads)
        if key not in self._attention:
            self._attention[key] = self._grouped(kind, heads)
        return (self._attention[key],)

    def latent(self, index: int) -> tuple[CachedLayer, ...]:
        """One latent vector a token, not divided by TP, and the indexer's key where the layer has one."""
        d = self._d
        sparse = self._type in _SPARSE_TYPES and bool(d.index_topk)
        width = (d.kv_lora_rank or 0) + (d.qk_rope_head_dim or 0)
        use = AttentionUse(
            head_size=width, dtype=self._dtype, fp8_cache=self._fp8, latent=True, sparse=sparse
        )
        backend = attention_backend(use, self._capability)
        packed = sparse and (self._fp8 or backend == "FLASHINFER_MLA_SPARSE_SM120")
        size = _SPARSE_FP8_BYTES if packed else width * self._element
        main = CachedLayer("mla", token_bytes=size, backend=backend)
        if not sparse or _skips_index(d, index):
            return (main,)
        indexer = (d.index_head_dim or 128) + _INDEX_SCALE_BYTES
        return (CachedLayer("mla", token_bytes=indexer, backend=backend, role="indexer"), main)

    def _kv_heads(self, kind: LayerKind, index: int) -> int:
        d = self._d
        if d.layer_kv_heads is not None:
            return d.layer_kv_heads[index]
        if kind is LayerKind.SLIDING and d.swa_num_key_value_heads:
            return d.swa_num_key_value_heads
        if kind is LayerKind.FULL and d.num_global_key_value_heads:
            return d.num_global_key_value_heads
        return d.num_key_value_heads

    def _grouped(self, kind: LayerKind, heads: int) -> CachedLayer:
        d = self._d
        key_size, value_size = self._head_sizes(kind)
        local = kind is LayerKind.SLIDING
        use = AttentionUse(
            head_size=key_size,
            value_size=value_size,
            dtype=self._dtype,
            fp8_cache=self._fp8,
            sinks=d.attention_sinks and (local or self._type.startswith(_SINKS_EVERYWHERE)),
            image_prefix=self._image_prefix,
        )
        backend = attention_backend(use, self._capability)
        if (
            self._type.startswith(("gemma4", "diffusion_gemma"))
            and d.global_head_dim
            and d.global_head_dim != d.head_dim
        ):
            backend = "TRITON_ATTN"  # models/config.py#L262: unequal heads without FlashAttention 4
        size = max(1, heads // self._tp) * (key_size + value_size) * self._element
        if not local:
            return CachedLayer("full", token_bytes=size, backend=backend)
        if d.attention_chunk_size and not d.sliding_window:
            return CachedLayer("chunked", token_bytes=size, window=d.attention_chunk_size, backend=backend)
        window = (d.sliding_window or 0) + (1 if self._type in _COHERE_WINDOWS else 0)  # commandr.py#L244
        return CachedLayer("sliding", token_bytes=size, window=window, backend=backend)

    def _head_sizes(self, kind: LayerKind) -> tuple[int, int]:
        """Widths of one key and one value head; MiniCPM3 pads values (minicpm3.py#L174)."""
        d = self._d
        if kind is LayerKind.SLIDING and d.extra.get("swa_head_dim"):
            key = int(d.extra["swa_head_dim"])
            return key, int(
                d.extra.get("swa_v_head_dim") or (d.v_head_dim if key == d.head_dim else None) or key
            )
        if kind is LayerKind.FULL and d.global_head_dim:
            return d.global_head_dim, d.global_head_dim
        if d.kv_lora_rank:  # latent attention that vLLM stores as full heads
            width = (d.qk_nope_head_dim or 0) + (d.qk_rope_head_dim or 0)
            return width, width
        return d.head_dim, d.v_head_dim or d.head_dim


def _skips_index(d: Dimensions, index: int) -> bool:
    """Layers that reuse an earlier selection keep no indexer keys (deepseek_v32/attention.py#L166)."""
    pattern = d.extra.get("index_topk_pattern")
    if isinstance(pattern, str):
        return index < len(pattern) and pattern[index] == "S"
    every = int(d.extra.get("index_topk_freq", 1)) or 1
    offset = int(d.extra.get("index_skip_topk_offset", 2))
    return max(index - offset + 1, 0) % every != 0


def smallest_block(cache: ModelCache) -> int:
    """Tokens of a block that every backend in use can read; 16 without attention."""
    return max((kernel_block(backend) for backend in cache.backends() if backend), default=16)
