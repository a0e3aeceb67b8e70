"""Ollama on llama.cpp: the same memory, its own defaults and its own command.

Source: github.com/ollama/ollama at fb3076099, docs/context-length.mdx and docs/faq.mdx;
its GGML models run in llama.cpp's server since 2026.
"""

import msgspec

from probe.catalog.engines import find_engine
from probe.engines.request import Request
from probe.units import GIB


def default_context(gpu_bytes: int) -> int:
    """The context Ollama takes by itself, by the GPU memory of the machine (0: no GPU)."""
    for row in find_engine("ollama").default_context:
        if row.below_gib is None or gpu_bytes < row.below_gib * GIB:
            return row.tokens
    return Request().context


def own_request(request: Request, *, gpu_bytes: int, trained: int | None) -> Request:
    """`request` with the context that Ollama takes where none was asked, not above the trained one."""
    context = default_context(gpu_bytes)
    return msgspec.structs.replace(request, context=min(context, trained or context), kv_unified=False)


def commands(model: str, request: Request) -> tuple[str, ...]:
    """The server with what was computed, and the model in it.

    Args:
        model: a name of Ollama's library, or a repository with its quantization, which
            Ollama downloads itself.
    """
    settings = [f"OLLAMA_CONTEXT_LENGTH={request.context}", f"OLLAMA_NUM_PARALLEL={request.parallel}"]
    if request.flash_attention is not None:
        settings.append(f"OLLAMA_FLASH_ATTENTION={int(request.flash_attention)}")
    if request.kv_type_k != Request().kv_type_k:
        settings.append(f"OLLAMA_KV_CACHE_TYPE={request.kv_type_k}")
    name = f"hf.co/{model}" if "/" in model and not model.startswith("hf.co/") else model
    return " ".join([*settings, "ollama serve"]), f"ollama run {name}"


def refuses(request: Request) -> bool:
    """Whether Ollama has no setting for this: it knows one type for keys and values, and three of them."""
    return request.kv_type_k != request.kv_type_v or request.kv_type_k not in ("f16", "q8_0", "q4_0")
