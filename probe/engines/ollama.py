"""Ollama on llama.cpp: the same memory, its own defaults, its own choices and its own commands.

Since 0.30 every GGUF model runs in an upstream llama-server that Ollama starts itself
(ollama pull 16031). Without a number of layers in the request, llama-server fits the
model into the GPUs by itself and leaves 1,024 MiB on each.

Source: github.com/ollama/ollama at fb3076099 (2026-08-21); files and lines beside each rule.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from probe.catalog.engines import find_engine
from probe.catalog.model_spec import ModelSpec
from probe.engines.request import Request
from probe.machine import Machine, OsFamily
from probe.units import GIB

# server/sched.go#L507: "not safe with num_parallel > 1" (mllama is not loaded any more).
_ONE_AT_A_TIME: Final = frozenset(
    {
        "mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe",
        "nemotron_h", "nemotron_h_moe", "nemotron_h_omni",
    }
)  # fmt: skip
_IMAGE_CONTEXT: Final = 2048  # server/sched.go#L176: multimodal models get at least this
_EMBEDDING_BATCH: Final = 2048  # llm/llama_server.go#L78
# server/sched.go#L797-L805, #L859-L915: batch by context, room it must leave, what it is taken to add.
_BATCH, _BATCH_SMALL, _BATCH_MEDIUM, _BATCH_LARGE = 512, 256, 1024, 2048
_SHARE_OF_FREE: Final = 0.80
_HEADROOM: Final = {_BATCH_MEDIUM: 0.75, _BATCH_LARGE: 0.60}
_SURCHARGE: Final = {_BATCH_MEDIUM: 768 * 2**20, _BATCH_LARGE: 2 * GIB}
# api/types.go#L1119: tokens drafted at once where a model's own settings switch its prediction layers on.
_DRAFT_TOKENS: Final = 4
_CONTEXT: Final = "OLLAMA_CONTEXT_LENGTH"
_KV_TYPES: Final = ("f16", "q8_0", "q4_0")  # docs/faq.mdx#L361


class OllamaGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as Ollama's scheduler sees it."""

    total_bytes: int
    free_bytes: int
    cuda: bool = False
    capability: tuple[int, int] | None = None


def default_context(gpu_bytes: int) -> int:
    """The context Ollama takes by itself, by the memory of all GPUs together (0: no GPU).

    Source: server/routes.go#L2043-L2057; the limits are 23 and 47 GiB, not the 24 and 48 of
        docs/context-length.mdx. In the program since 0.15.5 (ollama issue 14073).
    """
    for row in find_engine("ollama").default_context:
        if row.below_gib is None or gpu_bytes < row.below_gib * GIB:
            return row.tokens
    return Request().context


def ollama_gpu_bytes(machine: Machine) -> int:
    """GPU memory as Ollama counts it: all usable GPUs; of Apple's what Metal recommends.

    Source: server/routes.go#L2043, discover/gpu_darwin.go.
    """
    total = 0
    for device in machine.usable_gpus():
        wired = device.wired_limit_bytes
        total += int(wired.value) if wired is not None else device.memory_total_bytes or 0
    return total


def own_context(spec: ModelSpec, asked: int | None, gpu_bytes: int) -> int:
    """Tokens of one conversation that Ollama really gives, asked or by itself.

    Never above the trained length (llm/server.go#L113), never below 2,048 with images.
    """
    context = asked if asked is not None else default_context(gpu_bytes)
    if spec.modality == "vision":
        context = max(context, _IMAGE_CONTEXT)
    return min(context, spec.max_context or context)


def own_parallel(spec: ModelSpec, asked: int) -> int:
    """Conversations that Ollama holds at once: one for embedding models and some architectures."""
    if spec.architecture in _ONE_AT_A_TIME or spec.modality in ("embedding", "reranker"):
        return 1
    return asked


def own_flash_attention(asked: bool | None, gpus: Sequence[OllamaGpu]) -> bool | None:
    """What Ollama passes for flash attention: off on NVIDIA GPUs below 6.0 and on 7.2, else automatic.

    Source: llm/llama_server.go#L597-L611, ml/device.go#L571-L599.
    """
    if asked is not None:
        return asked
    old = any(
        gpu.cuda and gpu.capability is not None and (gpu.capability < (6, 0) or gpu.capability == (7, 2))
        for gpu in gpus
    )
    return False if old else None


def predicted_bytes(spec: ModelSpec, file_bytes: int, context: int) -> int:
    """Ollama's own forecast, with which it chooses GPUs and batch: the file and a plain 16-bit cache.

    Args:
        context: of all conversations together.

    Source: llm/llama_server.go#L2681-L2700.
    """
    d = spec.dimensions
    if d is None or not d.num_attention_heads:
        return file_bytes
    heads = min(d.layer_kv_heads) if d.layer_kv_heads else d.num_key_value_heads
    width = max(heads, 1) * (d.hidden_size // d.num_attention_heads)
    return file_bytes + 2 * d.num_hidden_layers * width * context * 2


def own_batch(
    spec: ModelSpec,
    context: int,
    predicted: int,
    gpus: Sequence[OllamaGpu],
    *,
    flash_attention: bool | None,
) -> int:
    """Tokens that are computed at once (`-b` and `-ub`): more with a long context and room to spare.

    Args:
        context: of all conversations together.

    Source: server/sched.go#L822-L915.
    """
    if spec.modality in ("embedding", "reranker"):
        return min(_EMBEDDING_BATCH, context)
    if flash_attention is False and any(gpu.cuda for gpu in gpus):
        small = any(gpu.cuda and min(gpu.free_bytes, gpu.total_bytes) <= 8 * GIB for gpu in gpus)
        return _BATCH_SMALL if context > 4096 and small else _BATCH
    free = sum(gpu.free_bytes for gpu in gpus)
    batch = _BATCH_LARGE if context > 32768 else _BATCH_MEDIUM if context > 4096 else _BATCH
    while batch > _BATCH and not _batch_fits(batch, predicted, free):
        batch = _BATCH_MEDIUM if batch > _BATCH_MEDIUM else _BATCH
    return batch


def _batch_fits(batch: int, predicted: int, free: int) -> bool:
    if not predicted or not free:
        return True
    limit = free * _SHARE_OF_FREE
    return predicted <= free * _HEADROOM[batch] and predicted + _SURCHARGE[batch] <= limit


def takes_one_gpu(predicted: int, gpus: Sequence[OllamaGpu]) -> bool:
    """Whether Ollama loads the model on one of several GPUs: its forecast fills at most 80 % of one.

    Else it is spread over all of them. Source: server/sched.go#L1009, #L1060.
    """
    return any(predicted <= gpu.free_bytes * _SHARE_OF_FREE for gpu in gpus)


def drafting_bytes(mtp_bytes: int, state_bytes: int) -> int:
    """What drafting with the model's own prediction layers adds: the layers, and a state for each draft.

    Models of the library may switch it on themselves (server/routes.go#L154). Checked
    against ollama issue 17482: 748.12 MiB of state where one takes 149.62.

    Args:
        state_bytes: recurrent state without drafting.
    """
    return mtp_bytes + _DRAFT_TOKENS * state_bytes


def refuses(request: Request) -> bool:
    """Whether Ollama has no setting for this: it knows one type for keys and values, and three of them."""
    return request.kv_type_k != request.kv_type_v or request.kv_type_k not in _KV_TYPES


def run_command(name: str) -> str:
    """Download and talk. `name`: of Ollama's library, or `org/repository:quantization` on Hugging Face.

    Source: huggingface/hub-docs docs/hub/ollama.md at 00375367.
    """
    return (
        f"ollama run hf.co/{name}" if "/" in name and not name.startswith("hf.co/") else f"ollama run {name}"
    )


def settings(request: Request, own: Request) -> tuple[tuple[str, str], ...]:
    """The variables that must be set because the request differs from what Ollama takes by itself."""
    found = []
    if request.context != own.context:
        found.append((_CONTEXT, str(request.context)))
    if request.parallel != own.parallel:
        found.append(("OLLAMA_NUM_PARALLEL", str(request.parallel)))
    if request.flash_attention is not None and request.flash_attention != own.flash_attention:
        found.append(("OLLAMA_FLASH_ATTENTION", str(int(request.flash_attention))))
    if request.kv_type_k != own.kv_type_k:
        found.append(("OLLAMA_KV_CACHE_TYPE", request.kv_type_k))
    return tuple(found)


def commands(name: str, wanted: Sequence[tuple[str, str]], system: OsFamily) -> tuple[str, ...]:
    """The lines that set what was computed for Ollama's server and run the model, as each system wants them.

    Source: docs/faq.mdx#L75-L125 (launchctl on macOS, user variables on Windows, systemd on Linux).
    """
    return (*_set(wanted, system), run_command(name))


def file_commands(path: str, wanted: Sequence[tuple[str, str]], system: OsFamily) -> tuple[str, ...]:
    """The lines that give a GGUF file of the user's own to Ollama, and run it.

    The context goes into the Modelfile.

    Source: docs/import.mdx (FROM, `ollama create`), docs/modelfile.mdx (PARAMETER num_ctx).
    """
    stem = path.replace("\\", "/").rsplit("/", maxsplit=1)[-1].removesuffix(".gguf").lower()
    name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in stem)
    entries = [f"FROM {path}"]
    entries += [f"PARAMETER num_ctx {value}" for key, value in wanted if key == _CONTEXT]
    quote = "" if system is OsFamily.WINDOWS else '"'
    arrows = [">", *[">>"] * (len(entries) - 1)]
    written = [
        f"echo {quote}{entry}{quote} {arrow} Modelfile" for entry, arrow in zip(entries, arrows, strict=True)
    ]
    others = [(key, value) for key, value in wanted if key != _CONTEXT]
    return (*_set(others, system), *written, f"ollama create {name} -f Modelfile", f"ollama run {name}")


def _set(wanted: Sequence[tuple[str, str]], system: OsFamily) -> tuple[str, ...]:
    if not wanted:
        return ()
    if system is OsFamily.WINDOWS:
        return tuple(f"setx {key} {value}" for key, value in wanted)
    if system is OsFamily.MACOS:
        return tuple(f"launchctl setenv {key} {value}" for key, value in wanted)
    return (" ".join([*(f"{key}={value}" for key, value in wanted), "ollama serve"]),)
