"""LM Studio on llama.cpp: the same memory, started with its own command-line tool.

Source: lmstudio-ai/docs at 33673b5e, 3_cli (`lms get`, `lms load --context-length --gpu`).
"""

from probe.engines.request import LayerSplit, Request


def commands(model: str, request: Request, split: LayerSplit, *, layers: int) -> tuple[str, ...]:
    """Download and load with the context that was computed.

    `--gpu` is the share of the layers that goes to the GPU; all else of a request is set
    in the program's window.

    Args:
        model: a repository with its quantization (`org/name:Q4_K_M`), or a name in the library.
    """
    if not split.shares or not split.gpu_layers:
        share = "off"
    elif split.gpu_layers > layers:
        share = "max"
    else:
        share = f"{split.gpu_layers / (layers + 1):.2f}"
    repository, _, quantization = model.partition(":")
    asked = f"{repository}@{quantization.lower()}" if quantization else repository
    load = f"lms load {repository.rsplit('/', maxsplit=1)[-1].lower()} --gpu={share}"
    return f"lms get {asked}", f"{load} --context-length={request.context * request.parallel}"
