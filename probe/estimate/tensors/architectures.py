"""Which tensors each architecture of llama.cpp has: one row an architecture.

Source: llama.cpp b11434, src/models/<file>.cpp, load_arch_tensors of each, and for
what a converter chooses to write conversion/<file>.py.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from probe.catalog.model_spec import Dimensions, LayerKind
from probe.estimate.tensors.attention import compressed, grouped_query, latent
from probe.estimate.tensors.decoder import Builder, by_kind, decoder, network, prediction_block, whole
from probe.estimate.tensors.encoders import bert_layer, bert_tables, gated_bert_layer
from probe.estimate.tensors.feed_forward import dense, experts
from probe.estimate.tensors.gemma import altup_tables, gemma_3n_layer, gemma_4_layer, gemma_4_tables
from probe.estimate.tensors.layer import LayerVariant
from probe.estimate.tensors.shape import Parts, Role, TensorPart, norm, weight
from probe.estimate.tensors.state_space import (
    gated_delta_net,
    kimi_delta_attention,
    lightning_attention,
    mamba_1,
    mamba_2,
    rwkv_7,
    short_convolution,
)
from probe.estimate.tensors.uneven import deci_layer, minimax_m3_layer, step_layer


class Architecture(NamedTuple):
    """How one architecture is built from its dimensions."""

    layer: Builder
    tied: bool | None = None  # None: as the model says; the loader of some accepts only one
    head: bool = True  # False: an encoder without a language head
    head_bias: bool = False
    output_norm: str | None = "output_norm"
    output_norm_bias: bool = False
    tables: Callable[[Dimensions], Parts] | None = None  # further tensors outside the layers
    prediction: Builder | None = None  # the multi-token-prediction block that converters write
    mark_first: bool = False  # layer 0 is built differently


def _qk_norm_as_said(d: Dimensions, v: LayerVariant) -> Parts:
    return grouped_query(d, v, qk_norm="head" if d.qk_norm else None)


def _stablelm(d: Dimensions, v: LayerVariant) -> Parts:
    """StableLM 2 12B norms each head and has no second norm."""
    per_head = d.qk_norm is not None
    names = ("attn_norm",) if per_head else ("attn_norm", "ffn_norm")
    mixer = partial(grouped_query, qk_norm="heads" if per_head else None)
    return decoder(mixer, norms=names, norm_bias=True)(d, v)


def _command_r(d: Dimensions, v: LayerVariant) -> Parts:
    """Command R+ (64 layers and more) norms each head. Source: src/models/command-r.cpp."""
    mixer = partial(grouped_query, qk_norm="heads" if d.num_hidden_layers >= 64 else None)
    return decoder(mixer, norms=("attn_norm",))(d, v)


def _falcon(d: Dimensions, v: LayerVariant) -> Parts:
    """Falcon-40B and 180B have a second input norm. Source: src/models/falcon.cpp."""
    names = ("attn_norm", "attn_norm_2") if d.extra.get("new_decoder_architecture") else ("attn_norm",)
    return decoder(partial(grouped_query, fused=True), network(form="plain"), norms=names, norm_bias=True)(
        d, v
    )


def _mimo_2(d: Dimensions, v: LayerVariant) -> Parts:
    """Only the sliding layers have attention sinks."""
    return grouped_query(d, v, sinks=v.kind is LayerKind.SLIDING)


def _bitnet(d: Dimensions, v: LayerVariant) -> Parts:
    """Norms inside attention and feed-forward. Source: src/models/bitnet.cpp."""
    inner = (*norm("attn_sub_norm", d.hidden_size), *norm("ffn_sub_norm", v.feed_forward))
    return (*decoder()(d, v), *inner)


def _falcon_h1(d: Dimensions, v: LayerVariant) -> Parts:
    """Attention and Mamba-2 side by side in every layer. Source: src/models/falcon-h1.cpp.

    The second norm is called without `.weight`, there and in the files (gguf-py's tensor_mapping.py).
    """
    inner = decoder(_mixed_heads)(d, v)
    return tuple(part._replace(name="ffn_norm") if part.name == "ffn_norm.weight" else part for part in inner)


def _mixed_heads(d: Dimensions, v: LayerVariant) -> Parts:
    return (*mamba_2(d, gate_norm=bool(d.extra.get("mamba_rms_norm"))), *grouped_query(d, v))


def _nemotron_h(d: Dimensions, v: LayerVariant) -> Parts:
    """One sub-layer a layer: Mamba-2, attention, dense or experts. Source: src/models/nemotron-h.cpp."""
    if v.kind is LayerKind.MAMBA:
        inner = mamba_2(d)
    elif v.kind is LayerKind.MLP:
        inner = dense(d.hidden_size, v.feed_forward, form="plain")
    elif v.kind is LayerKind.EXPERTS:
        inner = _NEMOTRON_EXPERTS(d)
    else:
        inner = grouped_query(d, v)
    return (*norm("attn_norm", d.hidden_size), *inner)


def _nemotron_h_prediction(d: Dimensions, v: LayerVariant) -> Parts:
    """Attention and experts folded into one block."""
    norms = (*norm("attn_norm", d.hidden_size), *norm("post_attention_norm", d.hidden_size))
    return (*norms, *grouped_query(d, v), *_NEMOTRON_EXPERTS(d))


def _deepseek_2_experts(d: Dimensions) -> Parts:
    """DeepSeek V3 and its kin correct the choice of a sigmoid router; V2 has a softmax without."""
    return experts(d, selection_bias=d.extra.get("scoring_func") != "softmax")


def _deepseek_4(d: Dimensions, v: LayerVariant) -> Parts:
    """Hyper-connections around attention and experts; the first layers route by token number.

    Source: src/models/deepseek4.cpp#L82.
    """
    hidden, streams = d.hidden_size, int(d.extra.get("hc_mult", 4))
    mixes = (2 + streams) * streams
    parts: list[TensorPart] = [*norm("attn_norm", hidden), *norm("ffn_norm", hidden), *compressed(d, v)]
    for name in ("hc_attn", "hc_ffn"):
        parts.append(weight(f"{name}_fn", streams * hidden, mixes, role=Role.OTHER))
        parts.append(weight(f"{name}_base", mixes, role=Role.OTHER))
        parts.append(weight(f"{name}_scale", 3, role=Role.OTHER))
    parts += experts(d, selection_bias=not v.hashed)
    if v.hashed:
        table = weight("ffn_gate_tid2eid", d.experts_per_token or 0, d.vocab_size, role=Role.ROUTER)
        parts.append(table)
    return tuple(parts)


def _deepseek_4_tables(d: Dimensions) -> Parts:
    streams = int(d.extra.get("hc_mult", 4))
    return (
        weight("output_hc_fn", streams * d.hidden_size, streams, role=Role.OTHER),
        weight("output_hc_base", streams, role=Role.OTHER),
        weight("output_hc_scale", 1, role=Role.OTHER),
    )


def _rwkv_tables(d: Dimensions) -> Parts:
    return norm("token_embd_norm", d.hidden_size, biased=True)


_QK: Final = partial(grouped_query, qk_norm="head")
_QK_WIDE: Final = partial(grouped_query, qk_norm="layer")
_SIGMOID: Final = partial(experts, selection_bias=True)
_SHARED_GATE: Final = partial(experts, shared_gate=True)
_NEMOTRON_EXPERTS: Final = partial(experts, gated=False, shared_gated=False, selection_bias=True)
_SANDWICH: Final = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
_AFTER: Final = ("post_attention_norm", "post_ffw_norm")
_POST_ATTENTION: Final = ("attn_norm", "post_attention_norm")

_LLAMA: Final = decoder()
_QWEN3: Final = decoder(_QK)
_GATED_QUERY: Final = partial(grouped_query, qk_norm="head", query_factor=2)
_QWEN3_NEXT: Final = decoder(
    by_kind({LayerKind.LINEAR: whole(partial(gated_delta_net, joint_beta_alpha=True))}, _GATED_QUERY),
    network(moe=_SHARED_GATE),
    norms=_POST_ATTENTION,
)
_QWEN35: Final = decoder(
    by_kind({LayerKind.LINEAR: whole(partial(gated_delta_net, joint_beta_alpha=False))}, _GATED_QUERY),
    network(moe=_SHARED_GATE),
    norms=_POST_ATTENTION,
)
_GEMMA3: Final = decoder(_QK, norms=_SANDWICH)
_EXAONE4: Final = decoder(_QK, norms=_AFTER)
_EXAONE_MOE: Final = decoder(_QK, network(moe=_SIGMOID))
_GLM4: Final = decoder(grouped_query, network(form="fused"), norms=_SANDWICH)
_GLM4_MOE: Final = decoder(_qk_norm_as_said, network(moe=_SIGMOID), norms=_POST_ATTENTION)
_DEEPSEEK2: Final = decoder(whole(latent), network(moe=_deepseek_2_experts))
_SPARSE: Final = decoder(lambda d, v: latent(d, indexer=v.indexer), network(moe=_SIGMOID))
_BAILING2: Final = decoder(partial(grouped_query, fused=True, qk_norm="head"), network(moe=_SIGMOID))
_MIMO2: Final = decoder(_mimo_2, network(moe=_SIGMOID))
_HYBRID: Final = by_kind({LayerKind.MAMBA: whole(mamba_2)}, grouped_query)
_LFM2: Final = decoder(by_kind({LayerKind.CONV: whole(short_convolution)}, _QK), network(moe=_SIGMOID))
_ONLY_MIXER: Final = ("attn_norm",)
_OWN_TABLES: Final = ("nextn.embed_tokens", "nextn.shared_head_head")


def _nothing(d: Dimensions, v: LayerVariant) -> Parts:
    return ()


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "llama": Architecture(_LLAMA),
    "llama-embed": Architecture(_LLAMA),
    "mistral3": Architecture(_LLAMA),
    "granite": Architecture(_LLAMA),
    "granitemoe": Architecture(_LLAMA),
    "minicpm": Architecture(_LLAMA),
    "exaone": Architecture(_LLAMA),
    "smollm3": Architecture(_LLAMA),
    "ernie4_5": Architecture(_LLAMA),
    "internlm2": Architecture(_LLAMA, tied=False),
    "deepseek": Architecture(_LLAMA),
    "bailingmoe": Architecture(_LLAMA, tied=False),
    "llama4": Architecture(_LLAMA),
    "gemma": Architecture(_LLAMA, tied=True),
    "qwen2": Architecture(_LLAMA),
    "qwen2vl": Architecture(_LLAMA),
    "qwen2moe": Architecture(decoder(feed=network(moe=_SHARED_GATE)), tied=False),
    "ernie4_5-moe": Architecture(decoder(feed=network(moe=_SIGMOID))),
    "arcee": Architecture(decoder(feed=network(form="plain"))),
    "seed_oss": Architecture(decoder(norms=_POST_ATTENTION)),
    "qwen3": Architecture(_QWEN3),
    "qwen3vl": Architecture(_QWEN3),
    "qwen3moe": Architecture(_QWEN3),
    "qwen3vlmoe": Architecture(_QWEN3),
    "hunyuan-dense": Architecture(_QWEN3),
    "hunyuan_vl": Architecture(_QWEN3),
    "hunyuan-moe": Architecture(_QWEN3),
    "dots1": Architecture(decoder(_QK, network(moe=_SIGMOID)), tied=False),
    "qwen3next": Architecture(_QWEN3_NEXT, prediction=prediction_block(_QWEN3_NEXT)),
    "qwen35": Architecture(_QWEN35, prediction=prediction_block(_QWEN35)),
    "qwen35moe": Architecture(_QWEN35, prediction=prediction_block(_QWEN35)),
    "gemma2": Architecture(decoder(norms=_SANDWICH), tied=True),
    "gemma3": Architecture(_GEMMA3),
    "gemma-embedding": Architecture(_GEMMA3),
    "gemma3n": Architecture(gemma_3n_layer, tables=altup_tables),
    "gemma4": Architecture(gemma_4_layer, tables=gemma_4_tables),
    "exaone4": Architecture(_EXAONE4, prediction=prediction_block(_EXAONE4)),
    "exaone-moe": Architecture(_EXAONE_MOE, tied=False, prediction=prediction_block(_EXAONE_MOE, moe=False)),
    "glm4": Architecture(_GLM4),
    "chatglm": Architecture(
        decoder(partial(grouped_query, fused=True, qkv_bias=True), network(form="fused"))
    ),
    "glm4moe": Architecture(_GLM4_MOE, prediction=prediction_block(_GLM4_MOE, tables=_OWN_TABLES)),
    "deepseek2": Architecture(_DEEPSEEK2, prediction=prediction_block(_DEEPSEEK2, tables=_OWN_TABLES)),
    "mistral4": Architecture(decoder(whole(latent))),
    "deepseek32": Architecture(_SPARSE, prediction=prediction_block(_SPARSE, tables=_OWN_TABLES)),
    "glm-dsa": Architecture(_SPARSE, prediction=prediction_block(_SPARSE)),
    "deepseek4": Architecture(_deepseek_4, tied=False, tables=_deepseek_4_tables),
    "minicpm3": Architecture(decoder(whole(partial(latent, absorbed=False)))),
    "kimi-linear": Architecture(
        decoder(
            by_kind({LayerKind.LINEAR: whole(kimi_delta_attention)}, whole(latent)), network(moe=_SIGMOID)
        ),
        tied=False,
    ),
    "phi2": Architecture(
        decoder(
            partial(grouped_query, qkv_bias=True, output_bias=True),
            network(form="plain", biased=True),
            norms=_ONLY_MIXER,
            norm_bias=True,
        ),
        tied=False,
        head_bias=True,
        output_norm_bias=True,
    ),
    "phi3": Architecture(decoder(partial(grouped_query, fused=True), network(form="fused"))),
    "phimoe": Architecture(
        decoder(partial(grouped_query, qkv_bias=True, output_bias=True), norm_bias=True),
        tied=False,
        head_bias=True,
        output_norm_bias=True,
    ),
    "gpt-oss": Architecture(
        decoder(
            partial(grouped_query, qkv_bias=True, output_bias=True, sinks=True),
            network(moe=partial(experts, biased=True)),
            norms=_POST_ATTENTION,
        ),
        tied=False,
    ),
    "granitehybrid": Architecture(decoder(_HYBRID)),
    "jamba": Architecture(
        decoder(by_kind({LayerKind.MAMBA: whole(partial(mamba_1, inner_norms=True))}, grouped_query))
    ),
    "mamba": Architecture(decoder(whole(mamba_1), _nothing, norms=_ONLY_MIXER)),
    "mamba2": Architecture(decoder(whole(mamba_2), _nothing, norms=_ONLY_MIXER)),
    "falcon": Architecture(_falcon, output_norm_bias=True),
    "falcon-h1": Architecture(_falcon_h1),
    "lfm2": Architecture(_LFM2, output_norm="token_embd_norm"),
    "lfm2moe": Architecture(_LFM2, output_norm="token_embd_norm"),
    "nemotron": Architecture(
        decoder(feed=network(form="plain"), norm_bias=True), tied=False, output_norm_bias=True
    ),
    "nemotron_h": Architecture(_nemotron_h),
    "nemotron_h_moe": Architecture(_nemotron_h, prediction=prediction_block(_nemotron_h_prediction)),
    "olmo2": Architecture(decoder(_QK_WIDE, norms=_AFTER), tied=False),
    "olmoe": Architecture(decoder(_QK_WIDE), tied=False),
    "command-r": Architecture(_command_r, tied=True),
    "cohere2": Architecture(decoder(norms=_ONLY_MIXER), tied=True),
    "starcoder2": Architecture(
        decoder(
            partial(grouped_query, qkv_bias=True, output_bias=True),
            network(form="plain", biased=True),
            norm_bias=True,
        ),
        output_norm_bias=True,
    ),
    "bailingmoe2": Architecture(
        _BAILING2,
        tied=False,
        prediction=prediction_block(_BAILING2, head_norm=False, more=("layer_output_norm",)),
    ),
    "minimax-m2": Architecture(decoder(_QK_WIDE, network(moe=_SIGMOID)), tied=False),
    "minimax-m3": Architecture(minimax_m3_layer, tied=False),
    "step35": Architecture(
        step_layer,
        tied=False,
        prediction=prediction_block(step_layer, moe=False, kind=LayerKind.SLIDING, tables=_OWN_TABLES[1:]),
    ),
    "deci": Architecture(deci_layer),
    "minimax-01": Architecture(
        decoder(by_kind({LayerKind.LINEAR: whole(lightning_attention)}, grouped_query))
    ),
    "mimo2": Architecture(
        _MIMO2,
        tied=False,
        prediction=prediction_block(
            _MIMO2, moe=False, kind=LayerKind.SLIDING, head_norm=False, more=("layer_output_norm",)
        ),
    ),
    "afmoe": Architecture(
        decoder(
            lambda d, v: grouped_query(d, v, qk_norm="head", gate=d.num_attention_heads * d.head_dim),
            network(moe=_SIGMOID),
            norms=_SANDWICH,
        )
    ),
    "apertus": Architecture(decoder(_QK, network(form="plain")), tied=False),
    "stablelm": Architecture(_stablelm, tied=False, output_norm_bias=True),
    "bitnet": Architecture(_bitnet, tied=True),
    "rwkv7": Architecture(rwkv_7, tied=False, output_norm_bias=True, tables=_rwkv_tables, mark_first=True),
    "bert": Architecture(bert_layer, head=False, output_norm=None, tables=bert_tables),
    "jina-bert-v3": Architecture(bert_layer, head=False, output_norm=None, tables=bert_tables),
    "nomic-bert": Architecture(gated_bert_layer, head=False, output_norm=None, tables=bert_tables),
}
