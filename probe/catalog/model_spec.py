"""One model as the arithmetic sees it: its shapes, and who it is."""

import enum

import msgspec


class LayerKind(enum.Enum):
    """What mixes tokens in one layer; letters as in the catalog's `layer_pattern`."""

    FULL = "F"  # full attention
    SLIDING = "S"  # sliding-window or chunked attention
    LINEAR = "L"  # linear attention: Gated DeltaNet, KDA, lightning
    MAMBA = "M"  # Mamba 1 or 2
    CONV = "C"  # short convolution (LFM2)
    PARALLEL = "P"  # attention and Mamba-2 side by side (Falcon-H1)
    CROSS = "X"  # cross-attention to an image
    MLP = "-"  # feed-forward only
    EXPERTS = "E"  # mixture of experts only


_KINDS = {kind.value: kind for kind in LayerKind}  # asked for every layer of every model


class Dimensions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Shapes of one model, named as in Hugging Face config.json where such a name exists.

    `layer_pattern` has one letter a layer (LayerKind); None means full attention
    everywhere. None anywhere else means the model does not have that part, never
    "not known": a spec whose shapes are not known has `dimensions` None.
    """

    hidden_size: int
    num_hidden_layers: int
    vocab_size: int
    num_attention_heads: int = 0
    num_key_value_heads: int = 0
    head_dim: int = 0  # of keys; of values too unless v_head_dim is set
    v_head_dim: int | None = None
    intermediate_size: int = 0
    mlp_gated: bool = True
    tie_word_embeddings: bool = False
    layer_pattern: str | None = None
    # per-layer lists where a model has them (Nemotron, OpenELM, Gemma 3n); index = layer
    layer_kv_heads: tuple[int, ...] | None = None
    layer_intermediate_sizes: tuple[int, ...] | None = None
    # attention
    sliding_window: int | None = None
    attention_chunk_size: int | None = None
    attention_bias: str | None = None  # "qkv", "qkvo", "o"
    qk_norm: str | None = None  # "head" or "layer"
    attn_output_gate: bool = False
    attention_sinks: bool = False
    attention_k_eq_v: bool = False
    global_head_dim: int | None = None
    num_global_key_value_heads: int | None = None
    swa_num_key_value_heads: int | None = None
    num_kv_shared_layers: int | None = None
    # multi-head latent attention
    kv_lora_rank: int | None = None
    q_lora_rank: int | None = None
    qk_rope_head_dim: int | None = None
    qk_nope_head_dim: int | None = None
    # sparse-attention indexer and compressed caches (DeepSeek V3.2, V4; GLM-5)
    index_n_heads: int | None = None
    index_head_dim: int | None = None
    index_topk: int | None = None
    compress_ratios: tuple[int, ...] | None = None
    # mixture of experts
    num_experts: int | None = None
    experts_per_token: int | None = None
    moe_intermediate_size: int | None = None
    n_shared_experts: int | None = None
    shared_expert_intermediate_size: int | None = None
    first_k_dense: int | None = None
    moe_layer_step: int | None = None
    moe_layer_offset: int | None = None
    moe_layers: tuple[int, ...] | None = None
    moe_latent_size: int | None = None
    # state-space and linear attention
    ssm_state_size: int | None = None
    ssm_conv_kernel: int | None = None
    ssm_num_heads: int | None = None
    ssm_head_dim: int | None = None
    ssm_n_groups: int | None = None
    ssm_expand: int | None = None
    ssm_inner: int | None = None
    ssm_dt_rank: int | None = None
    linear_conv_kernel_dim: int | None = None
    linear_num_key_heads: int | None = None
    linear_key_head_dim: int | None = None
    linear_num_value_heads: int | None = None
    linear_value_head_dim: int | None = None
    conv_l_cache: int | None = None
    # further tables
    hidden_size_per_layer_input: int | None = None
    vocab_size_per_layer_input: int | None = None
    position_rows: int | None = None
    type_vocab_size: int | None = None
    mtp_layers: int | None = None
    extra: dict[str, int | float | str | bool] = {}  # rare fields, named as in config.json

    def kind_of(self, layer: int) -> LayerKind:
        """What mixes tokens in `layer`, counted from 0."""
        if not self.layer_pattern:
            return LayerKind.FULL
        letter = self.layer_pattern[layer]
        return _KINDS.get(letter) or LayerKind(letter)

    def count_of(self, *kinds: LayerKind) -> int:
        """How many layers mix tokens in one of these ways."""
        pattern = self.layer_pattern
        if not pattern:
            return self.num_hidden_layers if LayerKind.FULL in kinds else 0
        return sum(pattern.count(kind.value, 0, self.num_hidden_layers) for kind in kinds)


class StoredTensor(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of a file a user pointed at: exact, whatever the architecture."""

    name: str
    shape: tuple[int, ...]  # as the file writes it
    type: str  # GGUF type (Q4_K) or safetensors dtype (BF16)
    size_bytes: int


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """A language the model supports, and who says so."""

    code: str
    status: str  # verified or claimed
    source: str | None = None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model: identity, shapes, and for a file a user pointed at its very tensors."""

    id: str  # repository name, or the path's last part for files
    alias: str | None = None
    other_aliases: tuple[str, ...] = ()  # further exact names, e.g. mistral-7b for mistral-7b-v0.3
    name: str
    family: str | None = None
    vendor: str | None = None
    architecture: str | None = None  # llama.cpp's name; None = not in upstream llama.cpp
    model_type: str | None = None  # config.json's
    hf_architecture: str | None = None  # config.json's architectures[0]
    params_total: int | None = None  # what the checkpoint stores
    params_text: int | None = None  # what a text-only GGUF holds
    params_active: int | None = None  # read per token, one embedding and the head counted
    params_mtp: int | None = None
    params_other: int | None = None  # vision and audio towers
    params_duplicate_head: int | None = None  # a tied head that the checkpoint stores a second time
    dimensions: Dimensions | None = None
    max_context: int | None = None
    native_dtype: str | None = None  # bfloat16, float16, float32
    native_quantization: str | None = None  # fp8, mxfp4, gptq-int4 ... as published
    languages: tuple[Language, ...] = ()
    license: str | None = None
    commercial_use: bool | None = None
    modality: str = "text"  # text, vision, audio, embedding, reranker ...
    purposes: tuple[str, ...] = ()  # general korean coding reasoning vision embedding documents
    release: str | None = None  # "2025-07"
    variant: str | None = None  # instruct, base, thinking, coder ...
    base_model: str | None = None  # id of the row that another vendor fine-tuned this one from
    gguf_repositories: tuple[str, ...] = ()
    awq_repositories: tuple[str, ...] = ()
    gptq_repositories: tuple[str, ...] = ()
    fp8_repositories: tuple[str, ...] = ()
    ollama_tags: tuple[str, ...] = ()
    minimum_engine_versions: dict[str, str] = {}
    confidence: str | None = None  # exact, derived, partial
    # only for files a user pointed at
    path: str | None = None  # as the user wrote it: what a command to start the engine names
    file_quantization: str | None = None
    stored_tensors: tuple[StoredTensor, ...] | None = None
    file_bytes: int | None = None
    gguf_metadata: dict[str, object] | None = None  # a GGUF's own scalars and per-layer arrays
    hf_config: dict[str, object] | None = None  # raw config.json, for engines whose rules read its very keys
    origin: str = "catalog"  # catalog, gguf, safetensors, config, online
    source: tuple[str, ...] = ()
    retrieved: str | None = None
