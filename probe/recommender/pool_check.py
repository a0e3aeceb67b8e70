"""Whether a placement's memory fits the pools, and whether it would at this moment."""

from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.recommender.answer import Reason
from probe.recommender.pools import Pool, Pools
from probe.recommender.verdict import Fit


def check_fit(memory: MemoryBreakdown, pools: Pools) -> Fit:
    """Every device's share against its pool; a GPU inside RAM shares one pool with the CPU.

    Capacity decides `fits`; what is free at this moment decides `fits_now` only.
    """
    unknown = _cannot_know(memory, pools)
    if unknown is not None:
        return Fit(fits=None, reasons=(unknown,))
    gpus = [
        (device, pools.by_device(device.device)) for device in memory.per_device if device.device != "cpu"
    ]
    in_ram = sum(
        _total(device)
        for device in memory.per_device
        if device.device == "cpu" or pools.by_device(device.device).in_ram
    )
    short = [reason for device, pool in gpus for reason in _gpu_short(device, pool)]
    short += _ram_short(in_ram, pools.cpu)
    if short:
        return Fit(fits=False, fits_now=False, reasons=tuple(short))
    notes = [reason for device, pool in gpus for reason in _wired_low(device, pool)]
    if pools.cpu.capacity_bytes is None and in_ram:
        notes.append(Reason(code="verdict.host_part_unchecked", values={"need_bytes": in_ram}))
    now = [reason for device, pool in gpus for reason in _short_now(device, pool)]
    free = pools.cpu.free_bytes
    if free is not None and in_ram > free:
        now.append(Reason(code="verdict.now_short", values={"device": "cpu", "free_bytes": free}))
    known_now = free is not None or (bool(gpus) and all(pool.free_bytes is not None for _, pool in gpus))
    left, size = _room_left(gpus, in_ram, pools.cpu)
    return Fit(
        fits=True,
        fits_now=not now if known_now else None,
        left_bytes=left,
        pool_bytes=size,
        reasons=(*notes, *now),
    )


def _total(device: DeviceMemory) -> int:
    return device.total_bytes or 0


def _cannot_know(memory: MemoryBreakdown, pools: Pools) -> Reason | None:
    if any(device.total_bytes is None for device in memory.per_device):
        weights = sum(device.weights_bytes for device in memory.per_device)
        return Reason(code="verdict.kv_unknown", values={"weights_bytes": weights})
    for device in memory.per_device:
        if device.device != "cpu" and pools.by_device(device.device).capacity_bytes is None:
            return Reason(code="verdict.gpu_memory_unknown", values={"device": device.device})
    if pools.cpu.capacity_bytes is None and all(device.device == "cpu" for device in memory.per_device):
        need = sum(_total(device) for device in memory.per_device)
        return Reason(code="verdict.no_memory_known", values={"need_bytes": need})
    return None


def _gpu_short(device: DeviceMemory, pool: Pool) -> list[Reason]:
    capacity = pool.capacity_bytes or 0
    if _total(device) <= capacity:
        return []
    values: dict[str, str | int | float | bool | None] = {
        "device": device.device,
        "need_bytes": _total(device),
        "capacity_bytes": capacity,
    }
    return [Reason(code="verdict.unified_short" if pool.in_ram else "verdict.gpu_short", values=values)]


def _ram_short(in_ram: int, ram: Pool) -> list[Reason]:
    if ram.capacity_bytes is None or in_ram <= ram.capacity_bytes:
        return []
    values: dict[str, str | int | float | bool | None] = {
        "need_bytes": in_ram,
        "capacity_bytes": ram.capacity_bytes,
    }
    return [Reason(code="verdict.ram_short", values=values)]


def _wired_low(device: DeviceMemory, pool: Pool) -> list[Reason]:
    low = pool.capacity_low_bytes
    if low is None or _total(device) <= low:
        return []
    return [Reason(code="verdict.wired_low", values={"low_bytes": low})]


def _short_now(device: DeviceMemory, pool: Pool) -> list[Reason]:
    if pool.in_ram or pool.free_bytes is None or _total(device) <= pool.free_bytes:
        return []
    values: dict[str, str | int | float | bool | None] = {
        "device": device.device,
        "free_bytes": pool.free_bytes,
    }
    return [Reason(code="verdict.now_short", values=values)]


def _room_left(
    gpus: list[tuple[DeviceMemory, Pool]], in_ram: int, ram: Pool
) -> tuple[int | None, int | None]:
    """What stays free of the pool the engine computes from, and that pool's size."""
    ram_left = None if ram.capacity_bytes is None else ram.capacity_bytes - in_ram
    if not gpus:
        return ram_left, ram.capacity_bytes
    left = sum((pool.capacity_bytes or 0) - _total(device) for device, pool in gpus)
    size = sum(pool.capacity_bytes or 0 for _, pool in gpus)
    if all(pool.in_ram for _, pool in gpus) and ram_left is not None:
        left = min(left, ram_left)
    return left, size
