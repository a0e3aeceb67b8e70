"""A model's sizes as llama.cpp's loader reads them from GGUF metadata.

Everything llama.cpp allocates follows from these. Rules of the loader are cited from
llama.cpp b11434 (src/llama-model.cpp, src/llama-hparams.cpp, src/models/<arch>.cpp).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, UNKNOWN_SHAPES, NotModeledError

_MAX_LAYERS: Final = 2_000
_MAX_SIZE: Final = 10**9
_MAX_EXPERTS_USED: Final = 1_000
MetadataValue = object
Metadata = Mapping[str, MetadataValue]

# llm_arch_is_recurrent and llm_arch_is_hybrid, src/llama-arch.cpp#L1110.
RECURRENT_ARCHITECTURES: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
HYBRID_ARCHITECTURES: Final = frozenset(
    {
        "jamba", "falcon-h1", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe",
        "qwen3next", "kimi-linear", "bailingmoe3", "kimi-k3", "glm5-next", "qwen35", "qwen35moe", "qwen4exp",
        "deepseek4", "minimax-01",
    }
)  # fmt: skip
# create_memory returns no cache for these, src/llama-model.cpp#L2358.
CACHELESS_ARCHITECTURES: Final = frozenset(
    {
        "bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert",
        "wavtokenizer-dec", "modern-bert", "gemma-embedding", "dream", "llada", "llada-moe", "rnd1", "clef",
    }
)  # fmt: skip
# load_swa_pattern(ml, period, dense_first) and hard defaults of the window, src/models/<arch>.cpp.
# (period, first layer of a period is the full one, default window, window is required)
_SWA: Final[dict[str, tuple[int, bool, int | None]]] = {
    "afmoe": (4, False, None),
    "cohere2": (4, False, None),
    "cohere2moe": (4, True, None),
    "exaone-moe": (4, False, 128),
    "gemma-embedding": (6, False, None),
    "gemma2": (2, False, 4096),
    "gemma3": (6, False, None),
    "gemma3n": (5, False, None),
    "gpt-oss": (2, False, None),
    "laguna": (4, True, None),
    "mellum": (4, False, None),
    "modern-bert": (3, True, None),
    "muse-glimmer": (4, False, None),
    "olmo2": (4, False, None),
    "plamo3": (8, False, None),
}
# These read the pattern as an array, or all layers slide (period 0).
_SWA_ARRAY: Final = frozenset(
    {"gemma4", "granite_swa", "maple", "mimo2", "spark2_5", "step35", "dots3note"}
)  # fmt: skip


class Hparams(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sizes of one model; tuples have one entry a layer that the engine runs (no MTP layers).

    Compared by identity.
    """

    architecture: str
    layers: int
    layers_in_file: int  # with multi-token-prediction blocks
    embedding: int
    vocabulary: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    key_size: tuple[int, ...]
    value_size: tuple[int, ...]
    sliding: tuple[bool, ...]
    window: int = 0
    recurrent: tuple[bool, ...]
    cached: tuple[bool, ...]  # the layer owns keys and values
    feed_forward: tuple[int, ...]
    causal: bool = True
    # multi-head latent attention
    mla: bool = False
    key_size_mla: int = 0
    value_size_mla: int = 0
    kv_lora: int = 0
    rope_size: int = 0
    # experts
    experts: int = 0
    experts_used: tuple[int, ...] = ()
    # recurrent state, elements a sequence and recurrent layer
    conv_state: int = 0
    recurrent_state: int = 0
    gram_layers: tuple[int, ...] = ()  # these also keep a convolution over word groups (Qwen4-exp)
    gram_state: int = 0
    ssm_conv: int = 0
    ssm_inner: int = 0
    ssm_state: int = 0
    ssm_rank: int = 0
    ssm_groups: int = 0
    # sparse attention
    indexer_heads: int = 0
    indexer_size: int = 0
    indexer_top_k: int = 0
    indexer_full: tuple[bool, ...] = ()
    compress_ratios: tuple[int, ...] = ()
    metadata: dict[str, object] = {}  # the rest, for rules of one architecture

    def __hash__(self) -> int:
        return id(self)

    def number(self, key: str, default: int = 0) -> int:
        """An integer of the metadata under `<arch>.key`."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, (int, float)) and 0 <= value <= _MAX_SIZE:
            return int(value)
        return default


class _Reader:
    """Typed look-ups in one model's metadata."""

    def __init__(self, metadata: Metadata) -> None:
        architecture = metadata.get("general.architecture")
        if not isinstance(architecture, str):
            raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=None)
        self.architecture = architecture
        self.metadata = metadata

    def get(self, key: str) -> MetadataValue:
        return self.metadata.get(f"{self.architecture}.{key}")

    def has(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self.metadata

    def number(self, key: str, default: int | None = None) -> int:
        """An integer; of an array the first entry that is not 0."""
        value = self.get(key)
        if isinstance(value, (list, tuple)):
            value = next((entry for entry in value if entry), 0)
        if isinstance(value, (int, float)):
            return self._size(key, value)
        if default is None:
            raise self.unusable(key)
        return default

    def per_layer(self, key: str, layers: int, default: int) -> tuple[int, ...]:
        """One integer a layer, from an array or from one value for all."""
        value = self.get(key)
        if isinstance(value, (list, tuple)):
            if len(value) < layers:
                raise self.unusable(key)
            return tuple(self._size(key, entry) for entry in value[:layers])
        return (self._size(key, value) if isinstance(value, (int, float)) else default,) * layers

    def _size(self, key: str, value: object) -> int:
        """A size no model exceeds; files may say anything."""
        if isinstance(value, (int, float)) and 0 <= value <= _MAX_SIZE:
            return int(value)
        raise self.unusable(key)

    def unusable(self, key: str) -> NotModeledError:
        """The error that names `key`."""
        return NotModeledError(UNKNOWN_SHAPES, architecture=self.architecture, missing=key)


def hparams_from_metadata(metadata: Metadata) -> Hparams:
    """The sizes llama.cpp would read from this metadata.

    Raises:
        NotModeledError: no architecture, or a size without which nothing can be computed.

    Source: llama_model_base::load_hparams, src/llama-model.cpp#L1300 at b11434, and
        load_arch_hparams of each src/models/<arch>.cpp.
    """
    r = _Reader(metadata)
    arch = r.architecture
    in_file = r.number("block_count")
    nextn = r.number("nextn_predict_layers", 0)
    layers = in_file - nextn
    if not 0 < layers <= in_file <= _MAX_LAYERS:
        raise r.unusable("block_count")
    embedding = r.number("embedding_length")
    heads = r.per_layer("attention.head_count", in_file, 0)
    kv_heads = r.per_layer("attention.head_count_kv", in_file, -1)
    kv_heads = tuple(h if k < 0 else k for h, k in zip(heads, kv_heads, strict=True))
    first_heads = heads[0] or max(heads, default=0)
    default_head = embedding // first_heads if first_heads else 0
    key = r.number("attention.key_length", default_head) if first_heads else 0
    value = r.number("attention.value_length", default_head) if first_heads else 0
    sliding, window = _sliding(r, layers)
    key_sliding = r.number("attention.key_length_swa", key)
    value_sliding = r.number("attention.value_length_swa", value)
    recurrent = _recurrent(r, layers, kv_heads)
    used = r.per_layer("expert_used_count", layers, 0)
    if max(used) > _MAX_EXPERTS_USED:
        raise r.unusable("expert_used_count")
    state = _state_sizes(r, heads[0])
    return Hparams(
        architecture=arch,
        layers=layers,
        layers_in_file=in_file,
        embedding=embedding,
        vocabulary=_vocabulary(r),
        heads=heads[:layers],
        kv_heads=kv_heads[:layers],
        key_size=tuple(key_sliding if s else key for s in sliding),
        value_size=tuple(value_sliding if s else value for s in sliding),
        sliding=sliding,
        window=window,
        recurrent=recurrent,
        cached=_cached(r, layers, recurrent),
        feed_forward=r.per_layer("feed_forward_length", layers, 0),
        causal=bool(metadata.get(f"{arch}.attention.causal", True)) and arch not in CACHELESS_ARCHITECTURES,
        mla=r.number("attention.key_length_mla", 0) > 0 < r.number("attention.value_length_mla", 0),
        key_size_mla=r.number("attention.key_length_mla", 0),
        value_size_mla=r.number("attention.value_length_mla", 0),
        kv_lora=r.number("attention.kv_lora_rank", 0),
        rope_size=r.number("rope.dimension_count", key),
        experts=r.number("expert_count", 0),
        experts_used=used,
        conv_state=state[0],
        recurrent_state=state[1],
        gram_layers=_gram_layers(r),
        gram_state=_gram_state(r),
        ssm_conv=r.number("ssm.conv_kernel", 0),
        ssm_inner=r.number("ssm.inner_size", 0),
        ssm_state=r.number("ssm.state_size", 0),
        ssm_rank=r.number("ssm.time_step_rank", 0),
        ssm_groups=r.number("ssm.group_count", 0),
        indexer_heads=r.number("attention.indexer.head_count", 0),
        indexer_size=r.number("attention.indexer.key_length", 0),
        indexer_top_k=r.number("attention.indexer.top_k", 0),
        indexer_full=_indexer_layers(r, layers),
        compress_ratios=r.per_layer("attention.compress_ratios", layers, 0),
        metadata=dict(metadata),
    )


def _vocabulary(r: _Reader) -> int:
    tokens = r.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, (list, tuple)):
        return len(tokens)
    return r.number("vocab_size")


def _sliding(r: _Reader, layers: int) -> tuple[tuple[bool, ...], int]:
    """Which layers llama.cpp runs with a window, and the window; chunks count as windows."""
    none = (False,) * layers
    arch = r.architecture
    window = r.number("attention.sliding_window", 0)
    pattern = r.get("attention.sliding_window_pattern")
    if arch == "llama4":  # chunks of 8192 unless the file says "no window"
        if r.has("attention.sliding_window") and window == 0:
            return none, 0
        return tuple(layer % 4 < 3 for layer in range(layers)), 8192
    if arch == "exaone4":
        if layers != 64:  # only the 32B slides, src/models/exaone4.cpp#L4
            return none, 0
        return _pattern(pattern, layers, 4, False), window or 4096
    if arch == "smallthinker":
        if not window:
            return none, 0
        return _pattern(pattern, layers, 4, True), 4096
    if arch == "deepseek4":
        return (True,) * layers, window
    if arch in ("lfm2", "lfm2moe"):
        kv_heads = r.per_layer("attention.head_count_kv", layers, 0)
        return (tuple(k > 0 for k in kv_heads), window) if window else (none, 0)
    if arch in _SWA_ARRAY:
        return (_pattern(pattern, layers, 1, False), window) if window else (none, 0)
    rule = _SWA.get(arch)
    if rule is None:  # llama, phi3, starcoder2 ... ignore the window
        return none, 0
    period, dense_first, default = rule
    if not window and default is None:
        return none, 0
    return _pattern(pattern, layers, period, dense_first), window or default or 0


def _pattern(value: MetadataValue, layers: int, period: int, dense_first: bool) -> tuple[bool, ...]:
    """llama_hparams::set_swa_pattern, or the file's own array."""
    if isinstance(value, (list, tuple)) and len(value) >= layers:
        return tuple(bool(entry) for entry in value[:layers])
    if isinstance(value, int) and not isinstance(value, bool):
        period = value
    if period == 0:
        return (True,) * layers
    if dense_first:
        return tuple(layer % period != 0 for layer in range(layers))
    return tuple(layer % period < period - 1 for layer in range(layers))


def _recurrent(r: _Reader, layers: int, kv_heads: tuple[int, ...]) -> tuple[bool, ...]:
    """Which layers hold a recurrent state."""
    arch = r.architecture
    if arch in RECURRENT_ARCHITECTURES or arch == "falcon-h1":
        return (True,) * layers
    if arch not in HYBRID_ARCHITECTURES or arch == "deepseek4":
        return (False,) * layers
    if arch in ("nemotron_h", "nemotron_h_moe"):
        feed_forward = r.per_layer("feed_forward_length", layers, 0)
        return tuple(kv_heads[layer] == 0 and feed_forward[layer] == 0 for layer in range(layers))
    if arch in ("qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"):
        listed = r.get("attention.recurrent_layers")
        if isinstance(listed, (list, tuple)) and len(listed) >= layers:
            return tuple(bool(entry) for entry in listed[:layers])
        interval = r.number("full_attention_interval", 8 if arch == "minimax-01" else 4)
        return tuple((layer + 1) % interval != 0 for layer in range(layers))
    return tuple(kv_heads[layer] == 0 for layer in range(layers))


def _cached(r: _Reader, layers: int, recurrent: tuple[bool, ...]) -> tuple[bool, ...]:
    """Which layers own keys and values (filters of create_memory, src/llama-model.cpp#L2358)."""
    arch = r.architecture
    if arch in CACHELESS_ARCHITECTURES or arch in RECURRENT_ARCHITECTURES:
        return (False,) * layers
    if arch == "falcon-h1":
        return (True,) * layers
    if arch in ("nemotron_h", "nemotron_h_moe"):
        feed_forward = r.per_layer("feed_forward_length", layers, 0)
        return tuple(not recurrent[layer] and feed_forward[layer] == 0 for layer in range(layers))
    if arch == "gemma3n":
        return tuple(layer < 20 for layer in range(layers))  # n_layer_kv_from_start, models/gemma3n.cpp
    if arch == "gemma4":
        own = layers - r.number("attention.shared_kv_layers", 0)
        return tuple(layer < own for layer in range(layers))
    return tuple(not state for state in recurrent)


def _state_sizes(r: _Reader, heads: int) -> tuple[int, int]:
    """Elements of convolution and recurrent state a sequence and layer: n_embd_r, n_embd_s."""
    embedding = r.number("embedding_length")
    head_size = r.number("wkv.head_size", 0)
    if head_size:
        return r.number("token_shift_count", 2) * embedding, embedding * head_size
    cache = r.number("shortconv.l_cache", 0)
    if cache:
        return embedding * (cache - 1), 0
    conv = r.number("ssm.conv_kernel", 0)
    kda = r.number("kda.head_dim", 0)
    if kda:
        return 3 * (conv - 1 if conv else 3) * heads * kda, kda * kda * heads
    if r.architecture == "minimax-01":
        size = r.number("attention.key_length", embedding // max(heads, 1))
        return 0, size * size * heads
    inner = r.number("ssm.inner_size", 0)
    state = r.number("ssm.state_size", 0)
    groups = r.number("ssm.group_count", 0)
    return max(conv - 1, 0) * (inner + 2 * groups * state), state * inner


def _gram_layers(r: _Reader) -> tuple[int, ...]:
    listed = r.get("ple.layers")
    return (
        tuple(entry for entry in listed if isinstance(entry, int)) if isinstance(listed, list | tuple) else ()
    )


def _gram_state(r: _Reader) -> int:
    """Elements of that convolution a sequence: ple_conv_state, src/llama-hparams.cpp#L268."""
    kept = max(r.number("ple.conv_kernel", 0) - 1, 0)
    streams = r.number("hyper_connection.count", 0)
    return kept * r.number("ple.ngram_size", 0) * streams * r.number("embedding_length")


def _indexer_layers(r: _Reader, layers: int) -> tuple[bool, ...]:
    """Which layers own an indexer; the file's array of types (1 is full), else all where there is one."""
    types = r.get("attention.indexer.types")
    if isinstance(types, (list, tuple)) and len(types) >= layers:
        return tuple(bool(entry) for entry in types[:layers])
    if r.architecture == "hy_v4" and not r.number("attention.indexer.top_k", 0):  # src/llama-model.cpp#L2487
        return (False,) * layers
    if r.architecture == "minimax-m3":  # filter_idx of create_memory, src/llama-model.cpp#L2386
        return tuple(layer >= r.number("leading_dense_block_count", 0) for layer in range(layers))
    if r.architecture == "glm-dsa" and r.number("context_length", 0) >= 1048576:
        # GLM_5_2_DEFAULT_INDEXER_TYPES, src/models/glm-dsa.cpp
        return tuple(layer < 2 or layer % 4 == 2 for layer in range(layers))
    return (r.number("attention.indexer.head_count", 0) > 0,) * layers
