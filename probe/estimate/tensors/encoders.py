"""Tensors of encoders that make embeddings: BERT, XLM-R, Nomic.

Source: llama.cpp b11434, src/models/{bert,nomic-bert,jina-bert-v3}.cpp; the pooler is
dropped and XLM-R loses two position rows in conversion/bert.py.
"""

from probe.catalog.model_spec import Dimensions
from probe.estimate.tensors.attention import grouped_query
from probe.estimate.tensors.feed_forward import dense
from probe.estimate.tensors.layer import LayerVariant
from probe.estimate.tensors.shape import Parts, Role, TensorPart, norm, weight


def bert_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """A layer with norms after its two parts and biases everywhere."""
    return (
        *grouped_query(d, v, qkv_bias=True, output_bias=True),
        *norm("attn_output_norm", d.hidden_size, biased=True),
        *dense(d.hidden_size, v.feed_forward, form="plain", biased=True),
        *norm("layer_output_norm", d.hidden_size, biased=True),
    )


def gated_bert_layer(d: Dimensions, v: LayerVariant) -> Parts:
    """Nomic's layer: one qkv matrix, a gated network, no biases but the norms'."""
    return (
        *grouped_query(d, v, fused=True, qkv_bias=False, output_bias=False),
        *norm("attn_output_norm", d.hidden_size, biased=True),
        *dense(d.hidden_size, v.feed_forward),
        *norm("layer_output_norm", d.hidden_size, biased=True),
    )


def bert_tables(d: Dimensions) -> Parts:
    """Position and segment tables and the norm of the embeddings."""
    parts: list[TensorPart] = list(norm("token_embd_norm", d.hidden_size, biased=True))
    if d.position_rows:
        # RoBERTa's first two rows belong to padding; only its kind has a single segment type.
        rows = d.position_rows - (2 if d.type_vocab_size == 1 else 0)
        parts.append(weight("position_embd", d.hidden_size, rows, role=Role.POSITION_EMBD))
    if d.type_vocab_size:
        parts.append(weight("token_types", d.hidden_size, d.type_vocab_size, role=Role.POSITION_EMBD))
    return tuple(parts)
