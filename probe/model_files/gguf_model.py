"""From GGUF metadata to a ModelSpec: llama.cpp's keys become config.json's names.

The keys are those of LLM_KV_NAMES in src/llama-arch.cpp of llama.cpp b11434; what a
missing key means is what load_hparams and src/models/<architecture>.cpp make of it.
Nonsense (a size below zero or beyond any model) makes the shapes unknown, never an
error: the file's own tensors still say what it weighs.
"""

from collections.abc import Mapping
from math import prod
from typing import Final, NamedTuple

from probe.catalog.model_spec import Dimensions, ModelSpec, StoredTensor
from probe.model_files.gguf_patterns import heads_differ, layer_pattern
from probe.model_files.gguf_values import MAX_SIZE, ArchitectureValues, ShapesUnknownError
from probe.model_files.llama_cpp_form import known_architectures

MAX_LAYERS: Final = 512  # LLAMA_MAX_LAYERS, src/llama-hparams.h
_LATENT: Final = frozenset({"deepseek2", "deepseek32", "glm-dsa", "mistral4", "kimi-linear"})
_BIASED_QUERIES: Final = frozenset({"qwen2", "qwen2vl", "qwen2moe", "seed_oss", "glm4moe", "glm4"})
_UNGATED: Final = frozenset(
    {"falcon", "starcoder2", "phi2", "nemotron", "nemotron_h", "nemotron_h_moe", "arcee", "apertus", "bert"}
)
_SIGMOID: Final = 2  # llama_expert_gating_func_type, src/llama-hparams.h


def model_from_metadata(
    metadata: Mapping[str, object],
    *,
    name: str,
    tensors: tuple[StoredTensor, ...] | None = None,
    file_bytes: int | None = None,
    file_quantization: str | None = None,
) -> ModelSpec:
    """The model that a GGUF header describes.

    Args:
        metadata: scalars and per-layer arrays by their full keys; vocabularies may be missing.
            Of an architecture that llama.cpp has no converter for only the tensors are used.
        name: for the spec's id, e.g. the file's name.
        tensors: all tensors of the file; they decide what the metadata leaves open (a tied
            head, biases). Without them the architecture's usual form is assumed.
    """
    m = ArchitectureValues(metadata)
    known = m.architecture in known_architectures()
    try:
        if not known:
            raise ShapesUnknownError
        dimensions = _dimensions(m, {tensor.name: tensor for tensor in tensors or ()})
        context = m.number("context_length") or None
        blocks = m.number("nextn_predict_layers") or 0
    except ShapesUnknownError:
        dimensions, context, blocks = None, None, 0
    title = metadata.get("general.name")
    title = title if isinstance(title, str) and title else name
    total, ahead = _counts(tensors, dimensions) if tensors is not None else (None, None)
    return ModelSpec(
        id=name,
        name=title,
        architecture=m.architecture,
        params_total=None if total is None else total + (ahead or 0),
        params_text=total,
        params_mtp=ahead if blocks else None,
        params_active=None if total is None else total - _idle(tensors or (), dimensions),
        dimensions=dimensions,
        max_context=context,
        file_quantization=file_quantization,
        stored_tensors=tensors,
        file_bytes=file_bytes,
        gguf_metadata=dict(metadata) if known else None,
        origin="gguf",
    )


def _counts(tensors: tuple[StoredTensor, ...], d: Dimensions | None) -> tuple[int, int]:
    """Weights of the text model and of its prediction blocks, rotary tables left out."""
    text = ahead = 0
    for tensor in tensors:
        if tensor.name.startswith(("rope_freqs", "rope_factors")):
            continue
        count = prod(tensor.shape)
        layer = _layer_of(tensor.name)
        if d is not None and layer is not None and layer >= d.num_hidden_layers:
            ahead += count
        else:
            text += count
    return text, ahead


def _idle(tensors: tuple[StoredTensor, ...], d: Dimensions | None) -> int:
    """Weights of the routed experts that one token leaves alone."""
    if d is None or not d.num_experts or not d.experts_per_token:
        return 0
    routed = 0
    for tensor in tensors:
        layer = _layer_of(tensor.name)
        if "_exps." in tensor.name and layer is not None and layer < d.num_hidden_layers:
            routed += prod(tensor.shape)
    return routed - routed * min(d.experts_per_token, d.num_experts) // d.num_experts


def _layer_of(name: str) -> int | None:
    head, _, rest = name.partition(".")
    number, _, _ = rest.partition(".")
    return int(number) if head == "blk" and number.isdecimal() and len(number) < 6 else None


def _dimensions(m: ArchitectureValues, tensors: Mapping[str, StoredTensor]) -> Dimensions | None:
    if m.architecture is None:
        return None
    arch, hidden, in_file = m.architecture, m.need("embedding_length"), m.need("block_count")
    ahead = m.number("nextn_predict_layers") or 0
    layers = in_file - ahead
    if not 0 < layers <= MAX_LAYERS or in_file > MAX_LAYERS:
        raise ShapesUnknownError
    heads = _heads(m, hidden)
    vocabulary = _vocabulary(m, tensors)
    per_layer_kv = m.per_layer("attention.head_count_kv", layers)
    per_layer_ff = m.per_layer("feed_forward_length", layers)
    pattern = layer_pattern(m, arch, layers, per_layer_kv, per_layer_ff)
    window = m.number("attention.sliding_window")
    linear = arch in ("qwen3next", "qwen35", "qwen35moe")
    kda = m.number("kda.head_dim")
    return Dimensions(
        hidden_size=hidden,
        num_hidden_layers=layers,
        vocab_size=vocabulary,
        num_attention_heads=heads.heads,
        num_key_value_heads=heads.kv_heads,
        head_dim=heads.key_sliding or heads.key_computed,
        v_head_dim=heads.value if heads.latent is not None or heads.value != heads.key else None,
        intermediate_size=m.number("feed_forward_length") or 0,
        mlp_gated=arch not in _UNGATED,
        tie_word_embeddings="output.weight" not in tensors if tensors else _usually_tied(arch),
        layer_pattern=pattern,
        layer_kv_heads=per_layer_kv if heads_differ(per_layer_kv, pattern) else None,
        layer_intermediate_sizes=per_layer_ff if per_layer_ff and len(set(per_layer_ff)) > 1 else None,
        sliding_window=None if arch == "llama4" else window or None,
        attention_chunk_size=(m.number("attention.chunk_size") or window) if arch == "llama4" else None,
        attention_bias=_bias(arch, tensors),
        qk_norm=_norm_of_queries(tensors, arch),
        attn_output_gate=linear,
        attention_sinks=arch in ("gpt-oss", "deepseek4"),
        attention_k_eq_v=_keys_are_values(tensors, pattern) if arch == "gemma4" else False,
        global_head_dim=heads.key if heads.key_sliding is not None else None,
        num_kv_shared_layers=m.number("attention.shared_kv_layers") or None,
        kv_lora_rank=heads.latent,
        q_lora_rank=m.number("attention.q_lora_rank") or None,
        qk_rope_head_dim=heads.rope if heads.latent is not None or arch == "deepseek4" else None,
        qk_nope_head_dim=heads.key_computed - (heads.rope or 0) if heads.latent is not None else None,
        index_n_heads=m.number("attention.indexer.head_count") or None,
        index_head_dim=m.number("attention.indexer.key_length") or None,
        index_topk=m.number("attention.indexer.top_k") or None,
        compress_ratios=m.per_layer("attention.compress_ratios", layers),
        moe_layers=_layers_with_experts(tensors, layers) if tensors and m.number("expert_count") else None,
        **_expert_sizes(m, arch),
        **({} if linear else _state_space_sizes(m, arch, kda=kda)),
        **_linear_sizes(m, linear=linear, kda=kda, heads=heads.heads),
        conv_l_cache=m.number("shortconv.l_cache"),
        hidden_size_per_layer_input=m.number("embedding_length_per_layer_input"),
        position_rows=_position_rows(m, arch, tensors),
        type_vocab_size=_segments(m, tensors),
        mtp_layers=ahead,
        extra=_extra(m, arch, tensors),
    )


class _Heads(NamedTuple):
    """Attention heads: how many, and how wide their keys and values are."""

    heads: int
    kv_heads: int
    key: int
    value: int
    key_computed: int  # with latent attention wider than what the cache keeps
    key_sliding: int | None  # where layers with a window have keys of their own width
    latent: int | None
    rope: int | None


def _heads(m: ArchitectureValues, hidden: int) -> _Heads:
    count = m.number("attention.head_count") or 0
    kv_count = m.number("attention.head_count_kv")
    key = m.number("attention.key_length") or (hidden // count if count else 0)
    value = m.number("attention.value_length") or key
    latent = m.number("attention.kv_lora_rank")
    if latent is not None:
        kv_count = count
        value = m.number("attention.value_length_mla") or value
    return _Heads(
        heads=count,
        kv_heads=count if kv_count is None else kv_count,
        key=key,
        value=value,
        key_computed=(m.number("attention.key_length_mla") or key) if latent is not None else key,
        key_sliding=m.number("attention.key_length_swa"),
        latent=latent,
        rope=m.number("rope.dimension_count"),
    )


def _expert_sizes(m: ArchitectureValues, arch: str) -> dict[str, int | None]:
    experts = m.number("expert_count") or None
    return {
        "num_experts": experts,
        "experts_per_token": m.number("expert_used_count") if experts else None,
        "moe_intermediate_size": m.number("expert_feed_forward_length") or None,
        "n_shared_experts": m.number("expert_shared_count") or None,
        "shared_expert_intermediate_size": _shared_width(m, arch),
        "first_k_dense": m.number("leading_dense_block_count") or None,
        "moe_layer_step": m.number("interleave_moe_layer_step") or None,
        "moe_layer_offset": _step_offset(m, arch),
        "moe_latent_size": m.number("moe_latent_size") or None,
    }


def _state_space_sizes(m: ArchitectureValues, arch: str, *, kda: int | None) -> dict[str, int | None]:
    """Sizes of Mamba's layers; the first Mamba has a rank where the second has heads and groups."""
    sizes = {
        "ssm_state_size": m.number("ssm.state_size"),
        "ssm_conv_kernel": None if kda else m.number("ssm.conv_kernel"),
        "ssm_inner": m.number("ssm.inner_size"),
    }
    rank = m.number("ssm.time_step_rank")
    if arch in ("mamba", "jamba"):
        return {**sizes, "ssm_dt_rank": rank}
    return {**sizes, "ssm_num_heads": rank, "ssm_n_groups": m.number("ssm.group_count")}


def _vocabulary(m: ArchitectureValues, tensors: Mapping[str, StoredTensor]) -> int:
    table = _rows(tensors.get("token_embd.weight"))
    tokens = m.values.get("tokenizer.ggml.tokens")
    size = table or (len(tokens) if isinstance(tokens, (list, tuple)) else m.number("vocab_size"))
    if not size:
        raise ShapesUnknownError
    return size


def _rows(tensor: StoredTensor | None) -> int | None:
    return tensor.shape[1] if tensor is not None and len(tensor.shape) == 2 else None


def _position_rows(m: ArchitectureValues, arch: str, tensors: Mapping[str, StoredTensor]) -> int | None:
    """Rows of the position table as a config.json counts them: RoBERTa's with its two of padding."""
    rows = _rows(tensors.get("position_embd.weight"))
    if rows is None and arch == "bert" and not tensors:
        rows = m.number("context_length")
    if rows is None:
        return None
    return rows + (2 if _segments(m, tensors) == 1 else 0)


def _segments(m: ArchitectureValues, tensors: Mapping[str, StoredTensor]) -> int | None:
    return _rows(tensors.get("token_types.weight")) or _token_types(m)


def _token_types(m: ArchitectureValues) -> int | None:
    value = m.values.get("tokenizer.ggml.token_type_count")
    return value if isinstance(value, int) and 0 < value < MAX_SIZE else None


def _usually_tied(arch: str) -> bool:
    return arch.startswith("gemma") or arch in ("command-r", "cohere2", "bitnet", "lfm2", "lfm2moe")


def _bias(arch: str, tensors: Mapping[str, StoredTensor]) -> str | None:
    if not tensors:
        return "qkv" if arch in _BIASED_QUERIES else None
    suffixes = {name.partition(".")[2].partition(".")[2] for name in tensors if name.startswith("blk.")}
    inputs = "qkv" if suffixes & {"attn_q.bias", "attn_qkv.bias"} else ""
    return (inputs + ("o" if "attn_output.bias" in suffixes else "")) or None


def _norm_of_queries(tensors: Mapping[str, StoredTensor], arch: str) -> str | None:
    found = next((t for name, t in tensors.items() if name.endswith(".attn_q_norm.weight")), None)
    if found is not None:
        return "head" if len(found.shape) == 1 else "layer"
    return "head" if not tensors and arch.startswith("qwen3") else None


def _keys_are_values(tensors: Mapping[str, StoredTensor], pattern: str | None) -> bool:
    """Whether the full layers have no value projection of their own."""
    if pattern is None or "F" not in pattern:
        return False
    layer = pattern.index("F")
    return bool(tensors) and f"blk.{layer}.attn_v.weight" not in tensors


def _shared_width(m: ArchitectureValues, arch: str) -> int | None:
    width = m.number("expert_shared_feed_forward_length")
    if width is None and arch in ("hunyuan-moe", "qwen2moe"):
        return m.number("feed_forward_length")
    if width is None and arch == "llama4":
        return m.number("expert_feed_forward_length")
    if width and arch == "bailingmoe2":
        return width * (m.number("expert_shared_count") or 1)
    return width or None


def _step_offset(m: ArchitectureValues, arch: str) -> int | None:
    """Llama 4 puts experts in the last layer of each step, src/models/llama4.cpp#L65."""
    step = m.number("interleave_moe_layer_step")
    return step - 1 if step and arch == "llama4" else None


def _layers_with_experts(tensors: Mapping[str, StoredTensor], layers: int) -> tuple[int, ...]:
    return tuple(layer for layer in range(layers) if f"blk.{layer}.ffn_gate_inp.weight" in tensors)


def _linear_sizes(
    m: ArchitectureValues, *, linear: bool, kda: int | None, heads: int
) -> dict[str, int | None]:
    """Sizes of linear attention, which GGUF keeps under the names of state-space models."""
    if kda:
        return {
            "linear_conv_kernel_dim": m.number("ssm.conv_kernel") or 4,
            "linear_num_key_heads": heads,
            "linear_key_head_dim": kda,
            "linear_num_value_heads": heads,
            "linear_value_head_dim": kda,
        }
    if not linear:
        return {}
    state, values = m.need("ssm.state_size"), m.need("ssm.time_step_rank")
    return {
        "linear_conv_kernel_dim": m.number("ssm.conv_kernel"),
        "linear_num_key_heads": m.number("ssm.group_count"),
        "linear_key_head_dim": state,
        "linear_num_value_heads": values,
        "linear_value_head_dim": (m.number("ssm.inner_size") or values * state) // values,
    }


def _extra(
    m: ArchitectureValues, arch: str, tensors: Mapping[str, StoredTensor]
) -> dict[str, int | float | str | bool]:
    """Rare sizes, under their config.json names."""
    found: dict[str, int | float | str | bool] = {}
    names = {
        "attention.decay_lora_rank": "decay_low_rank_dim",
        "attention.iclr_lora_rank": "a_low_rank_dim",
        "attention.value_residual_mix_lora_rank": "v_low_rank_dim",
        "attention.gate_lora_rank": "gate_low_rank_dim",
        "attention.output_group_count": "o_groups",
        "attention.output_lora_rank": "o_lora_rank",
        "hyper_connection.count": "hc_mult",
        "hash_layer_count": "num_hash_layers",
    }
    for key, name in names.items():
        value = m.number(key)
        if value is not None:
            found[name] = value
    if arch == "deepseek2":
        biased = any(name.endswith(".exp_probs_b.bias") for name in tensors)
        gate = m.number("expert_gating_func")
        found["scoring_func"] = "sigmoid" if biased or (not tensors and gate == _SIGMOID) else "softmax"
    heads, slides = m.get("attention.head_count"), m.get("attention.sliding_window_pattern")
    if arch == "step35" and isinstance(heads, (list, tuple)) and isinstance(slides, (list, tuple)):
        found["swa_num_attention_heads"] = max(
            (count for count, slide in zip(heads, slides, strict=False) if slide and isinstance(count, int)),
            default=0,
        )
    types = m.get("attention.indexer.types")
    if isinstance(types, (list, tuple)):
        found["indexer_types"] = "".join("F" if full else "S" for full in types[:MAX_LAYERS])
    if "rope_freqs.weight" in tensors and arch != "gemma4":
        found["rope_type"] = "llama3"
    elif "rope_factors_long.weight" in tensors:
        found["rope_type"] = "longrope"
    if "blk.0.attn_norm_2.weight" in tensors and arch == "falcon":
        found["new_decoder_architecture"] = True
    if "blk.0.ssm_norm.weight" in tensors and arch == "falcon-h1":
        found["mamba_rms_norm"] = True
    return found
