"""The memory pools of a machine that an engine can use, after every reserve.

Capacity decides, the moment only warns: GPU capacity is total minus
the driver's reserve minus the engine's own margin; RAM is min(total, cgroup limit)
minus a reserve for system and programs. One physical pool is counted once.
"""

import msgspec

from probe.catalog.limits import Limits, limits
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    Link,
    LinkKind,
    Machine,
    OsFamily,
)


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One device an engine can compute on, and the memory that is there for it. None = not known."""

    device: str  # cpu or gpu<index>
    accelerator: Accelerator | None = None
    backend: str = "cpu"
    total_bytes: int | None = None
    capacity_bytes: int | None = None
    capacity_low_bytes: int | None = None  # where capacity is a range (Apple's wired limit)
    free_bytes: int | None = None
    reserve_bytes: int = 0
    in_ram: bool = False  # its memory is part of the CPU pool


class Pools(msgspec.Struct, frozen=True, kw_only=True):
    """All pools of one machine. `coherent` is the road from the GPU to RAM that it can compute over (C2C)."""

    cpu: Pool
    gpus: tuple[Pool, ...] = ()
    coherent: Link | None = None

    def by_device(self, device: str) -> Pool:
        """The pool of `cpu` or `gpu<index>`."""
        if device == "cpu":
            return self.cpu
        for pool in self.gpus:
            if pool.device == device:
                return pool
        raise KeyError(device)


def backend_of(device: Accelerator, machine: Machine) -> str:
    """llama.cpp's backend for this device: the one its vendor's official builds use.

    AMD: ROCm on Linux, Vulkan on Windows. Intel: SYCL where oneAPI is installed, else Vulkan.
    """
    if device.vendor == "nvidia":
        return "cuda"
    if device.vendor == "apple":
        return "vulkan" if machine.host.os.family is OsFamily.LINUX else "metal"
    if device.vendor == "amd":
        return "vulkan" if machine.host.os.family is OsFamily.WINDOWS else "rocm"
    if device.vendor == "intel":
        has_oneapi = any(runtime.id == "oneapi" for runtime in machine.software.runtimes)
        return "sycl" if has_oneapi else "vulkan"
    return "vulkan"


def _gpu_pool(device: Accelerator, machine: Machine, rules: Limits, cpu: Pool, keep: int) -> Pool:
    backend = backend_of(device, machine)
    name = f"gpu{device.index}"
    total = device.memory_total_bytes
    free = device.memory_free_bytes
    if device.mig_enabled and device.mig_slices:
        # A CUDA process sees one slice and cannot join slices: the largest one is the pool.
        largest = max(device.mig_slices, key=lambda piece: piece.memory_total_bytes or 0)
        total, free = largest.memory_total_bytes, largest.memory_free_bytes
    if device.memory_shared:
        return _shared_pool(device, name, backend, cpu, keep)
    reserve = rules.gpu.llama_cpp_margin_bytes + keep
    if total is not None:
        reserve += rules.gpu.driver_reserve_bytes(total, device.memory_reserved_bytes)
    capacity = None if total is None else max(0, total - reserve)
    return Pool(
        device=name,
        accelerator=device,
        backend=backend,
        total_bytes=total,
        capacity_bytes=capacity,
        capacity_low_bytes=capacity,
        free_bytes=free,
        reserve_bytes=reserve,
    )


def _shared_pool(device: Accelerator, name: str, backend: str, cpu: Pool, keep: int) -> Pool:
    """A GPU that lives in RAM: the wired limit on Apple, else what the CPU pool leaves."""
    capacity = low = cpu.capacity_bytes
    if device.wired_limit_bytes is not None:
        wired = device.wired_limit_bytes
        capacity, low = int(wired.value) - keep, int(wired.low) - keep
    elif device.memory_total_bytes is not None and cpu.capacity_bytes is not None:
        # GB10 and Jetson: all of RAM. AMD: what firmware set aside, which is no part of the RAM that
        # the system counts, and what may be lent of the rest.
        own = device.memory_dedicated_bytes or 0
        capacity = low = own + min(cpu.capacity_bytes, device.memory_total_bytes - own)
    elif capacity is None and device.memory_total_bytes is not None:
        capacity = low = device.memory_total_bytes
    return Pool(
        device=name,
        accelerator=device,
        backend=backend,
        total_bytes=device.memory_total_bytes or cpu.total_bytes,
        capacity_bytes=None if capacity is None else max(0, capacity),
        capacity_low_bytes=None if low is None else max(0, low),
        free_bytes=_shared_free(device, cpu),
        reserve_bytes=cpu.reserve_bytes,
        in_ram=True,
    )


def _shared_free(device: Accelerator, cpu: Pool) -> int | None:
    """Free RAM, and of AMD's two pools together no more than their driver says is free."""
    if device.memory_dedicated_bytes is None or device.memory_free_bytes is None or cpu.free_bytes is None:
        return cpu.free_bytes
    return min(device.memory_free_bytes, device.memory_dedicated_bytes + cpu.free_bytes)


def machine_pools(machine: Machine, keep_bytes: int = 0) -> Pools:
    """The pools of `machine`; `keep_bytes` (`--reserve`) is kept free on the pool that computes."""
    rules = limits()
    memory = machine.memory
    devices = machine.usable_gpus()
    total = memory.total_bytes
    if total is not None and memory.limit_bytes is not None:
        total = min(total, memory.limit_bytes)
    if total is not None and memory.hugepages_bytes:
        total = max(0, total - memory.hugepages_bytes)  # set aside: no other program can allocate them
    reserve = 0 if total is None else rules.memory_reserve.reserve_bytes(machine.host.os, total)
    keep_ram = keep_bytes if not devices else 0
    cpu = Pool(
        device="cpu",
        total_bytes=total,
        capacity_bytes=None if total is None else max(0, total - reserve - keep_ram),
        capacity_low_bytes=None if total is None else max(0, total - reserve - keep_ram),
        free_bytes=memory.available_bytes,
        reserve_bytes=reserve + keep_ram,
    )
    gpus = tuple(_gpu_pool(device, machine, rules, cpu, keep_bytes) for device in devices)
    coherent = next((link for link in machine.links if link.kind is LinkKind.C2C), None)
    has_unified_hbm = any(
        device.kind is AcceleratorKind.UNIFIED and not device.memory_shared for device in devices
    )
    return Pools(cpu=cpu, gpus=gpus, coherent=coherent if has_unified_hbm else None)
