"""How vLLM divides one GPU's memory: what it asks for, what it spends before the KV cache.

    requested = ceil(total x utilization); starts only when free_at_snapshot >= requested
    KV memory = requested - weights - activations - CUDA graphs

CUDA context, NCCL and cuBLAS exist before the snapshot: they are not charged to
`requested`, they must fit beside it.

Source: vllm 0.33.0, v1/worker/gpu_worker.py, v1/worker/utils.py, utils/mem_utils.py.
"""

import math
import re
import sys
from functools import cache
from typing import Final

import msgspec

from probe.catalog.engines import release_of
from probe.catalog.files import read_data
from probe.catalog.limits import limits
from probe.errors import CatalogError
from probe.machine import Accelerator, ByteRange, Machine
from probe.units import GIB

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE: Final = "catalogs/engines/vllm_budget.toml"
_STARTING_ROOM: Final = GIB // 2  # what a suggested utilization leaves for the CUDA context


class _Row(msgspec.Struct, frozen=True):
    low_bytes: int
    value_bytes: int
    high_bytes: int
    source: str
    below_bytes: int = 0

    def band(self, extra: int = 0) -> ByteRange:
        return ByteRange(
            low=self.low_bytes + extra, value=self.value_bytes + extra, high=self.high_bytes + extra
        )


class _Unified(msgspec.Struct, frozen=True):
    utilization: float
    source: str


class _TensorParallel(msgspec.Struct, frozen=True):
    extra_bytes: int
    source: str


class _Table(msgspec.Struct, frozen=True):
    unified: _Unified
    outside: _Row
    overhead: tuple[_Row, ...]
    tensor_parallel: _TensorParallel


class VllmGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as vLLM gets it. `total_bytes` is CUDA's total: NVML's minus the driver's reserve."""

    device: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int | None = None
    name: str = ""
    unified: bool = False


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU's memory divided. Sizes in bytes."""

    gpu: VllmGpu
    utilization: float
    requested_bytes: int
    weights_bytes: int
    overhead: ByteRange  # activations and CUDA graphs, charged to the request
    outside: ByteRange  # CUDA context and handles, not charged

    @property
    def kv_bytes(self) -> ByteRange:
        """What is left for the KV cache; the low end is what the high overhead leaves, never below zero."""
        room = self.requested_bytes - self.weights_bytes
        return ByteRange(
            low=max(0, room - self.overhead.high),
            value=max(0, room - self.overhead.value),
            high=max(0, room - self.overhead.low),
        )

    @property
    def starts(self) -> bool | None:
        """Whether vLLM starts with what is free now; None when that is not known."""
        if self.gpu.free_bytes is None:
            return None
        return self.gpu.free_bytes - self.outside.value >= self.requested_bytes

    @property
    def suggested_utilization(self) -> float | None:
        """The largest utilization in hundredths that starts with what is free now; at most what was asked."""
        if self.gpu.free_bytes is None:
            return None
        room = (self.gpu.free_bytes - _STARTING_ROOM) / self.gpu.total_bytes
        return max(0.0, min(self.utilization, math.floor(room * 100) / 100))


@cache
def _table() -> _Table:
    try:
        return msgspec.convert(tomllib.loads(read_data(_FILE).decode("utf-8")), _Table)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise CatalogError("input.catalog_damaged", path=_FILE, detail=str(error)) from error


def default_utilization(version: str | None = None) -> float:
    """`--gpu-memory-utilization` when it is not given, by vLLM version (None: the newest)."""
    release = release_of("vllm", version)
    share = release.gpu_memory_utilization_default if release is not None else None
    return limits().gpu.vllm_utilization if share is None else share


def gpus_of(machine: Machine) -> tuple[VllmGpu, ...]:
    """The NVIDIA GPUs of a machine that vLLM can compute on and whose memory and capability are known."""
    devices = [device for device in machine.usable_gpus() if device.vendor == "nvidia"]
    found = [
        _gpu_of(device, machine.memory.total_bytes, machine.memory.available_bytes) for device in devices
    ]
    return tuple(gpu for gpu in found if gpu is not None)


def _gpu_of(device: Accelerator, ram_total: int | None, ram_available: int | None) -> VllmGpu | None:
    """Unified GPUs count system memory: vLLM asks psutil there. With MIG a process gets one slice."""
    total, free = device.memory_total_bytes, device.memory_free_bytes
    reserve = 0
    if device.mig_enabled and device.mig_slices:
        largest = max(device.mig_slices, key=lambda piece: piece.memory_total_bytes or 0)
        total, free = largest.memory_total_bytes, largest.memory_free_bytes
    elif device.memory_shared:
        total, free = ram_total or total, ram_available
    elif total is not None:
        reserve = limits().gpu.driver_reserve_bytes(total, device.memory_reserved_bytes)
    capability = parse_capability(device.compute_capability)
    if total is None or capability is None:
        return None
    return VllmGpu(
        device=f"gpu{device.index}",
        capability=capability,
        total_bytes=total - reserve,
        free_bytes=free,
        name=device.name.lower(),
        unified=device.memory_shared,
    )


def parse_capability(text: str | None) -> tuple[int, int] | None:
    """`"8.9"` as numbers; None when it is not written so."""
    found = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", text or "")
    return (int(found[1]), int(found[2])) if found else None


def overhead_of(gpu: VllmGpu, *, tp: int) -> ByteRange:
    """Activations, sampler and CUDA graphs on one GPU, by its memory tier."""
    table = _table()
    row = next((row for row in table.overhead if gpu.total_bytes < row.below_bytes), table.overhead[-1])
    return row.band(table.tensor_parallel.extra_bytes if tp > 1 else 0)


def budget_of(gpu: VllmGpu, weights_bytes: int, *, tp: int, utilization: float | None = None) -> Budget:
    """Divide one GPU's memory; `utilization` None: the newest default, less where memory is shared."""
    usual = _table().unified.utilization if gpu.unified else default_utilization()
    share = usual if utilization is None else utilization
    return Budget(
        gpu=gpu,
        utilization=share,
        requested_bytes=math.ceil(gpu.total_bytes * share),
        weights_bytes=weights_bytes,
        overhead=overhead_of(gpu, tp=tp),
        outside=_table().outside.band(),
    )
