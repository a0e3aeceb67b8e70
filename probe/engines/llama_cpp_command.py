"""The llama-server command that sets exactly what was computed."""

from typing import Final

from probe.engines.llama_cpp import LOGICAL_BATCH
from probe.engines.llama_cpp_split import engine_gpu_layers
from probe.engines.request import LayerSplit, Request

_ENDPOINTS: Final = {"embedding": "--embeddings", "reranker": "--reranking"}


def command(
    model: str,
    request: Request,
    split: LayerSplit,
    *,
    program: str = "llama-server",
    prediction_layers: int = 0,
    modality: str = "text",
    alone_among: tuple[str, ...] = (),
) -> str:
    """One line to start llama.cpp with this request and placement.

    Args:
        model: what stands after `-m` (a file) or, with a `/` and no `.gguf`, after `-hf`.
        prediction_layers: the model's multi-token-prediction layers, which `-ngl` counts too.
        modality: of the model; embedding models and rerankers need their endpoint switched on
            (tools/server/README.md, `--embeddings` and `--reranking`, read 2026-11-22).
        alone_among: the GPUs that the engine sees, in its order. Left to itself it divides every
            model among all of them (common/common.h#L488 at b11434), so one alone is named.
    """
    flag = "-hf" if "/" in model and not model.endswith(".gguf") else "-m"
    parts = [program, flag, _quoted(model), "-c", str(request.context * request.parallel)]
    parts += ["-np", str(request.parallel)]
    if request.kv_unified:
        parts.append("--kv-unified")
    parts += ["-ngl", str(engine_gpu_layers(split, prediction_layers))]
    if not split.shares:
        parts += ["--device", "none"]  # else a GPU still computes large batches
    if len(split.shares) > 1 and split.gpu_layers:
        parts += ["-sm", "layer", "-ts", ",".join(_number(share) for _, share in split.shares)]
    if len(split.shares) == 1 and split.gpu_layers and len(alone_among) > 1:
        index = alone_among.index(split.shares[0][0])
        parts += ["-sm", "none", *(["-mg", str(index)] if index else [])]
    if split.cpu_expert_layers:
        parts += ["--n-cpu-moe", str(split.cpu_expert_layers)]
    if request.flash_attention is not None:
        parts += ["-fa", "on" if request.flash_attention else "off"]
    if request.kv_type_k != "f16":
        parts += ["-ctk", request.kv_type_k]
    if request.kv_type_v != "f16":
        parts += ["-ctv", request.kv_type_v]
    if request.ubatch != 512:
        if request.ubatch > LOGICAL_BATCH:
            parts += ["-b", str(request.ubatch)]
        parts += ["-ub", str(request.ubatch)]
    if modality in _ENDPOINTS:
        parts.append(_ENDPOINTS[modality])
    return " ".join(parts)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _number(value: float) -> str:
    return f"{value:.4g}"
