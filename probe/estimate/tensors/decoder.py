"""The common shape of a decoder layer, with the switches in which architectures differ."""

from collections.abc import Callable

from probe.catalog.model_spec import Dimensions, LayerKind
from probe.estimate.tensors.attention import grouped_query
from probe.estimate.tensors.feed_forward import dense, experts
from probe.estimate.tensors.layer import LayerVariant
from probe.estimate.tensors.shape import Parts, Role, TensorPart, norm, weight

Builder = Callable[[Dimensions, LayerVariant], Parts]


def by_kind(builders: dict[LayerKind, Builder], otherwise: Builder) -> Builder:
    """A builder that depends on the layer's kind."""

    def build(d: Dimensions, v: LayerVariant) -> Parts:
        return builders.get(v.kind, otherwise)(d, v)

    return build


def whole(parts: Callable[[Dimensions], Parts]) -> Builder:
    """A builder for parts that are equal in every layer."""

    def build(d: Dimensions, v: LayerVariant) -> Parts:
        return parts(d)

    return build


def network(
    *, form: str | None = None, biased: bool = False, moe: Callable[[Dimensions], Parts] = experts
) -> Builder:
    """Experts in layers that have them, else a dense network; `form` None: as the model says."""

    def build(d: Dimensions, v: LayerVariant) -> Parts:
        if v.moe:
            return moe(d)
        return dense(d.hidden_size, v.feed_forward, form=form or _form(d), biased=biased)

    return build


def _form(d: Dimensions) -> str:
    return "gated" if d.mlp_gated else "plain"


def decoder(
    mixer: Builder = grouped_query,
    feed: Builder | None = None,
    *,
    norms: tuple[str, ...] = ("attn_norm", "ffn_norm"),
    norm_bias: bool = False,
) -> Builder:
    """A layer: its norms by llama.cpp's names, a mixer, a feed-forward network (None: gated or experts)."""
    feed = feed or network()

    def build(d: Dimensions, v: LayerVariant) -> Parts:
        scales = (part for name in norms for part in norm(name, d.hidden_size, biased=norm_bias))
        return (*scales, *mixer(d, v), *feed(d, v))

    return build


def prediction_block(
    block: Builder,
    *,
    moe: bool = True,
    kind: LayerKind = LayerKind.FULL,
    tables: tuple[str, ...] = (),
    head_norm: bool = True,
    more: tuple[str, ...] = (),
) -> Builder:
    """A multi-token-prediction layer: a decoder layer and what joins it to the model.

    Args:
        moe: its feed-forward network is a mixture of experts if the model has any.
        tables: input tables and heads of its own; checkpoints of DeepSeek and GLM repeat the model's.
        more: further norms.

    Source: llama.cpp b11434, NEXTN tensors in src/models/{glm4-moe,deepseek32,qwen35moe}.cpp.
    """

    def build(d: Dimensions, v: LayerVariant) -> Parts:
        heads = d.num_key_value_heads
        if kind is LayerKind.SLIDING and d.swa_num_key_value_heads is not None:
            heads = d.swa_num_key_value_heads
        inner = v._replace(kind=kind, moe=moe and bool(d.num_experts), kv_heads=heads, indexer=True)
        parts: list[TensorPart] = [
            *block(d, inner),
            weight("nextn.eh_proj", 2 * d.hidden_size, d.hidden_size, role=Role.OTHER),
            *norm("nextn.enorm", d.hidden_size),
            *norm("nextn.hnorm", d.hidden_size),
        ]
        for name in tables:
            parts.append(weight(name, d.hidden_size, d.vocab_size, role=Role.OTHER))
        for name in (*(("nextn.shared_head_norm",) if head_norm else ()), *more):
            parts += norm(name, d.hidden_size)
        return tuple(parts)

    return build
