"""LM Studio on llama.cpp: the same memory, its own defaults, and its command-line tool.

The program is closed; its defaults come from its documentation, its SDK and users' logs.

Source: lmstudio-ai/docs at c6854fba (2026-04-29), lmstudio-ai/lms at 07b7252d (2026-08-13),
lmstudio-ai/lmstudio.js at a88421d6 (2025-03-05); files and lines beside each constant.
"""

from typing import Final

from probe.engines.request import Request

# docs 1_developer/2_rest/list.md#L157; a model loaded by a request got it too (zed issue 33938).
# The SDK marks it as depending on the machine (packages/lms-kv-config/src/schema.ts#L224).
DEFAULT_CONTEXT: Final = 4096
# docs 0_app/5_advanced/parallel-requests.md#L18. The slots share one cache (unified), so that they cost
# little: 0.4.0's release notes, 2026-01-28.
DEFAULT_SLOTS: Final = 4
_BATCH: Final = 512  # lmstudio.js packages/lms-kv-config/src/schema.ts#L249, evalBatchSize


def own_context(asked: int | None, trained: int | None) -> int:
    """Tokens LM Studio loads a model with: as asked, else its default, not above the trained length."""
    if asked is not None:
        return asked
    return min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)


def memory_request(request: Request, slots: int) -> Request:
    """The request as LM Studio gives it to llama.cpp: `slots` conversations in one shared cache.

    Sliding windows get the full cache, as the library's own default is and as 0.3.23 logs
    it ("using full-size SWA cache", lmstudio-bug-tracker issue 900); a version that cuts
    them needs less.

    Args:
        request: context of one conversation, and how many were asked for.
        slots: at least `request.parallel`; the further ones share what is there.
    """
    cells = request.context * request.parallel
    return Request(
        context=-(-cells // slots),
        parallel=slots,
        kv_type_k=request.kv_type_k,
        kv_type_v=request.kv_type_v,
        ubatch=request.ubatch if request.ubatch != Request().ubatch else _BATCH,
        flash_attention=request.flash_attention,
        kv_unified=True,
        swa_full=True,
    )


def get_command(name: str) -> str:
    """Download. `name`: `org/repository:quantization` on Hugging Face, or a name in LM Studio's catalog.

    Source: huggingface/hub-docs docs/hub/lmstudio.md at 8806f47d.
    """
    repository, _, quantization = name.partition(":")
    address = f"https://huggingface.co/{repository}" if "/" in repository else repository
    return f"lms get {address}@{quantization}" if quantization else f"lms get {address}"


def import_command(path: str) -> str:
    """Take a GGUF file of the user's own into LM Studio's folder, the original kept.

    Source: docs 3_cli/0_local-models/import.md#L10 (`--symbolic-link` and `--copy`).
    """
    return f'lms import "{path}" --copy' if " " in path else f"lms import {path} --copy"


def load_command(name: str, request: Request, slots: int, *, gpu_layers: int, layers: int) -> str:
    """Load with what was computed. `--gpu` is the share of the layers that goes to the GPU.

    The key of a downloaded model is the repository's name in small letters without `-GGUF`
    (docs 1_developer/2_rest/endpoints.mdx#L68); `lms ls` lists the keys.

    Source: lms src/subcommands/load.ts#L127-L146 (`--gpu`, `--context-length`, `--parallel`).
    """
    key = name.replace("\\", "/").rsplit("/", maxsplit=1)[-1].partition(":")[0].lower()
    key = key.removesuffix(".gguf").removesuffix("-gguf")
    if gpu_layers <= 0:
        share = "off"
    elif gpu_layers > layers:
        share = "max"
    else:
        share = f"{gpu_layers / (layers + 1):.2f}"
    load = f"lms load {key} --gpu {share} --context-length {request.context * request.parallel}"
    return load if slots == DEFAULT_SLOTS else f"{load} --parallel {slots}"
