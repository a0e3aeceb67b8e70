"""What the answers of programs on llama.cpp share: names of files, the image part, how wide the total is."""

from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.repositories import MXFP4, file_tag, gguf_repository
from probe.engines.llama_cpp_runtime import runtime_band
from probe.estimate.breakdown import MemoryBreakdown
from probe.machine import ByteRange
from probe.recommender.pools import Pools
from probe.recommender.quantization_choice import ANCHOR

# What an Ollama tag without a suffix holds in today's library.
_TAGGED: Final = frozenset({ANCHOR, MXFP4})


def ollama_name(spec: ModelSpec, quantization: str) -> str | None:
    """What `ollama run` is given: the library's tag, else a known repository; None where none is known."""
    if spec.origin == "catalog" and spec.ollama_tags and quantization in _TAGGED:
        return spec.ollama_tags[0]
    return lmstudio_name(spec, quantization)


def lmstudio_name(spec: ModelSpec, quantization: str) -> str | None:
    """The repository and file that hold the model in this quantization; None where none is known."""
    if spec.origin == "gguf" and spec.path is None:
        parts = spec.id.split("/")  # a file on the hub: org/name/file.gguf
        return f"{parts[0]}/{parts[1]}:{quantization}" if len(parts) > 2 else None
    if spec.origin != "catalog":
        return None
    repository = gguf_repository(spec, quantization)
    return None if repository is None else f"{repository}{file_tag(quantization)}"


def own_file(spec: ModelSpec) -> str | None:
    """The GGUF file that the user pointed at, as it was written; None for everything else."""
    return spec.path if spec.origin == "gguf" else None


def with_towers(memory: MemoryBreakdown, tower_bytes: int) -> MemoryBreakdown:
    """The memory with an image part of `tower_bytes` on the first GPU, without GPUs in RAM."""
    if not tower_bytes or not memory.per_device:
        return memory
    names = [device.device for device in memory.per_device]
    first = next((name for name in names if name != "cpu"), names[0])
    return MemoryBreakdown(
        per_device=tuple(
            msgspec.structs.replace(device, weights_bytes=device.weights_bytes + tower_bytes)
            if device.device == first
            else device
            for device in memory.per_device
        )
    )


def runtime_range(memory: MemoryBreakdown, pools: Pools) -> ByteRange | None:
    """The total's ends: tensors are exact, drivers, libraries and the program are a published band."""
    total = memory.total_bytes
    if total is None or not memory.per_device:
        return None
    low = high = total
    for device in memory.per_device:
        band = runtime_band(pools.by_device(device.device).backend)
        low += band.low - device.runtime_bytes
        high += band.high - device.runtime_bytes
        low += device.repack_bytes.low - device.repack_bytes.value
        high += device.repack_bytes.high - device.repack_bytes.value
    return ByteRange(low=low, value=total, high=high)
