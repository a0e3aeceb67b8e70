"""llama.cpp's compute graphs, small enough to be laid out in a millisecond."""

from collections.abc import Callable

from probe.estimate.compute_graph import encoders, gemma, hybrid
from probe.estimate.compute_graph.block_sparse import block_sparse_attention
from probe.estimate.compute_graph.builder import Builder
from probe.estimate.compute_graph.compressed import deepseek_4
from probe.estimate.compute_graph.decoder import RECIPES, Recipe, transformer
from probe.estimate.compute_graph.ggml import Graph
from probe.estimate.compute_graph.latent import latent_attention, plain_latent_attention
from probe.estimate.compute_graph.rwkv import rwkv_7
from probe.estimate.compute_graph.sparse import indexed_attention
from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, NotModeledError

_LATENT = Recipe(attention=latent_attention, gating=0, normalized=None)
_OTHERS: dict[str, tuple[Callable[[Builder, Recipe], Graph], Recipe]] = {
    "deepseek2": (transformer, _LATENT),
    "mistral4": (transformer, _LATENT),
    "deepseek32": (transformer, _LATENT._replace(attention=indexed_attention)),
    "glm-dsa": (transformer, _LATENT._replace(attention=indexed_attention)),
    "deepseek4": (deepseek_4, Recipe(gating=0, normalized=None)),
    "minimax-m3": (
        transformer,
        Recipe(attention=block_sparse_attention, gating=0, normalized=None),
    ),
    "minicpm3": (transformer, Recipe(attention=plain_latent_attention, scaled_head=True)),
    "kimi-linear": (hybrid.kimi_linear, _LATENT._replace(rope="none", normalized=True)),
    "minimax-01": (hybrid.minimax_01, Recipe()),
    "gemma3n": (gemma.gemma_3n, Recipe()),
    "gemma4": (gemma.gemma_4, Recipe()),
    "bert": (encoders.bert, Recipe()),
    "nomic-bert": (encoders.bert, Recipe()),
    "jina-bert-v3": (encoders.bert, Recipe()),
    "llama-embed": (encoders.llama_embed, Recipe()),
    "gemma-embedding": (encoders.gemma_embedding, Recipe()),
    "deci": (hybrid.deci, Recipe()),
    "rwkv7": (rwkv_7, Recipe()),
    "mamba": (hybrid.mamba, Recipe()),
    "mamba2": (hybrid.mamba, Recipe()),
    "jamba": (hybrid.jamba, Recipe(rope="none", normalized=False)),
    "granitehybrid": (hybrid.granite_hybrid, Recipe()),
    "falcon-h1": (hybrid.falcon_h1, Recipe()),
    "nemotron_h": (hybrid.nemotron_h, Recipe(rope="none")),
    "nemotron_h_moe": (hybrid.nemotron_h, Recipe(rope="none")),
    "lfm2": (hybrid.lfm2, Recipe()),
    "lfm2moe": (hybrid.lfm2, Recipe(gating=0)),
    "qwen3next": (hybrid.qwen_next, Recipe()),
    "qwen35": (hybrid.qwen_next, Recipe(positions=4)),
    "qwen35moe": (hybrid.qwen_next, Recipe(positions=4)),
}


def build_graph(b: Builder) -> Graph:
    """The graph llama.cpp reserves memory for.

    Raises:
        NotModeledError: this architecture's graph is not written down here.
    """
    name = b.h.architecture
    if name in RECIPES:
        return transformer(b, RECIPES[name])
    if name not in _OTHERS:
        raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=name)
    build, recipe = _OTHERS[name]
    return build(b, recipe)
