"""A Machine from words: `2x RTX 3060 12GB; 64GB DDR4-3200 x2`, `M4 Max 64GB`, `DGX Spark`.

The same words give the same machine on any computer. Parts that are not named
stay unknown; a name the catalog cannot resolve is refused with suggestions.
"""

import re
from typing import Final

import msgspec

from probe.catalog.cpu_rows import CpuSpec
from probe.catalog.cpu_search import TypedCpu, find_cpu_model
from probe.catalog.enrich import enrich
from probe.catalog.enrich_devices import fill_gpu
from probe.catalog.gpu_rows import GpuSpec, gpus_of
from probe.catalog.gpu_search import GpuBoard
from probe.catalog.links import c2c_bytes_per_s
from probe.catalog.spec_parts import split_parts
from probe.catalog.spec_words import SpecWords, TypedGpus, read_words
from probe.errors import InputError
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    Cpu,
    Host,
    HostOrigin,
    Link,
    LinkKind,
    Machine,
    Memory,
    OperatingSystem,
    OsFamily,
    Power,
    Source,
)
from probe.machine.ranges import exact
from probe.units import GIB

_STRIX_HALO: Final = "Ryzen AI Max 300 (Strix Halo)"
_GRACE_CORES: Final = 72
MAX_SPEC_LENGTH: Final = 500
# The number in these driver names is the CPU's memory, not the GPU's.
_GRACE_MEMORY: Final = {"NVIDIA GH200 480GB": 480 * GIB, "NVIDIA GH200 120GB": 120 * GIB}


def _accelerator(index: int, board: GpuBoard, ram_bytes: int | None) -> tuple[Accelerator, dict[str, Source]]:
    row = board.spec
    pointer = f"/accelerators/{index}"
    total = row.reported_memory_bytes or board.memory_bytes
    device = Accelerator(
        index=index,
        kind=row.kind,
        vendor=row.vendor,
        name=row.driver_names[0] if row.driver_names else row.name,
        state=AcceleratorState.USABLE,
        memory_total_bytes=total,
        memory_shared=row.memory_shared,
        gpu_cores=row.gpu_cores[-1] if row.gpu_cores else None,
    )
    filled = fill_gpu(device, row, pointer, ram_bytes)
    sources = dict(filled.sources)
    if total is not None:
        sources[f"{pointer}/memory_total_bytes"] = Source(kind="catalog", source=row.source)
    return filled.part, sources


def _is_grace(row: GpuSpec) -> bool:
    return row.name.startswith(("NVIDIA GH200", "NVIDIA GB200", "NVIDIA GB300"))


def _cpu(words: SpecWords) -> Cpu:
    if words.cpu is not None:
        model = words.cpu.model
        spec, cores, sockets = model.spec, model.cores, words.cpu.sockets
        return Cpu(
            brand=_printed_brand(model),
            vendor=spec.vendor,
            architecture=_architecture(spec),
            physical_cores=cores.physical * sockets if cores else None,
            logical_cores=cores.logical * sockets if cores else None,
            usable_cores=cores.logical * sockets if cores else None,
            sockets=sockets,
            isa=spec.isa,
            catalog_name=spec.name,
            generation=spec.generation,
            laptop=spec.laptop,
        )
    for gpu in words.gpus:
        row = gpu.board.spec
        if row.vendor == "apple":
            chip = row.driver_names[0]
            return Cpu(brand=chip, vendor="apple", architecture="aarch64")
        if _is_grace(row):
            cores_all = _GRACE_CORES * gpu.number
            return Cpu(
                brand="Neoverse-V2",
                vendor="nvidia",
                architecture="aarch64",
                physical_cores=cores_all,
                logical_cores=cores_all,
                usable_cores=cores_all,
                sockets=gpu.number,
            )
        if row.kind is AcceleratorKind.UNIFIED and row.vendor == "nvidia":
            brand = "Cortex-X925" if row.name == "NVIDIA GB10" else None
            return Cpu(brand=brand, vendor="nvidia", architecture="aarch64")
    return Cpu()


def _architecture(spec: CpuSpec) -> str:
    return "x86_64" if spec.vendor in ("intel", "amd", "hygon", "zhaoxin", "via") else "aarch64"


def _printed_brand(model: TypedCpu) -> str:
    """The typed model with its maker in front, so that the family is found again in a saved machine."""
    maker = {"intel": "Intel", "amd": "AMD"}.get(model.spec.vendor, "")
    plain = model.brand
    return plain if not maker or maker.lower() in plain.lower() else f"{maker} {plain}"


def _system(words: SpecWords) -> OperatingSystem:
    if words.system is not None:
        return words.system[1]
    for gpu in words.gpus:
        row = gpu.board.spec
        if row.vendor == "apple":
            return OperatingSystem(family=OsFamily.MACOS, name="macOS")
        if row.vendor == "nvidia" and row.kind is AcceleratorKind.UNIFIED:
            return OperatingSystem(family=OsFamily.LINUX)
    return OperatingSystem()


def _memory(words: SpecWords) -> Memory:
    if words.memory is not None:
        typed = words.memory[1]
        return Memory(
            total_bytes=typed.total_bytes,
            type=typed.type,
            speed_mt_per_s=typed.mt_per_s,
            channels=typed.channels,
        )
    for gpu in words.gpus:
        row = gpu.board.spec
        if row.memory_shared and gpu.board.memory_bytes:
            return Memory(
                total_bytes=row.reported_memory_bytes or gpu.board.memory_bytes, type=row.memory_type
            )
        named = re.search(r"\b(480|120)\s*GB", gpu.part, re.IGNORECASE)
        if row.name in _GRACE_MEMORY and named:
            return Memory(total_bytes=_GRACE_MEMORY[row.name] * gpu.number, type="LPDDR5X")
    return Memory()


def _strix_halo_gpu(words: SpecWords) -> GpuBoard | None:
    """The GPU inside a Ryzen AI Max: part of the processor, named with it.

    Raises:
        InputError: no memory is named, and the GPU has none of its own.
    """
    if words.cpu is None or words.cpu.model.spec.name != _STRIX_HALO:
        return None
    if words.memory is None:
        example = f"{words.cpu.part}; 128GB LPDDR5X-8000"
        raise InputError("input.spec_system_memory", part=words.cpu.part, example=example)
    # 395: 40 compute units; 390, 385 and 380: the smaller GPU.
    wanted = "AMD Radeon 8050S" if re.search(r"3(?:90|85|80)\b", words.cpu.part) else "AMD Radeon 8060S"
    return GpuBoard(next(row for row in gpus_of("amd") if row.name == wanted), None)


def _links(gpus: list[TypedGpus]) -> tuple[Link, ...]:
    links: list[Link] = []
    index = 0
    for gpu in gpus:
        row = gpu.board.spec
        own = range(index, index + gpu.number)
        rate = c2c_bytes_per_s(row.name) if not row.memory_shared else None
        if rate is not None:
            links += [Link(a="cpu", b=f"gpu{number}", kind=LinkKind.C2C, bytes_per_s=rate) for number in own]
        if row.nvlink_always:
            links += [
                Link(
                    a=f"gpu{first}",
                    b=f"gpu{second}",
                    kind=LinkKind.NVLINK,
                    bytes_per_s=row.nvlink_bytes_per_s,
                    peer_access=True,
                )
                for first in own
                for second in own
                if first < second
            ]
        index += gpu.number
    return tuple(links)


def _grace_bandwidth(words: SpecWords, memory: Memory) -> Memory:
    """Grace's soldered LPDDR5X fills all its channels: up to 512 GB/s a processor."""
    grace = next((gpu for gpu in words.gpus if _is_grace(gpu.board.spec)), None)
    if grace is None or words.cpu is not None or memory.total_bytes is None or memory.channels is not None:
        return memory
    row = find_cpu_model("Grace").spec
    if row.channels is None or row.memory_mt_per_s is None:
        return memory
    speed = memory.speed_mt_per_s or row.memory_mt_per_s
    peak = row.channels * grace.number * speed * 8e6
    return msgspec.structs.replace(memory, bandwidth_bytes_per_s=exact(peak, "catalog"))


def from_spec(text: str) -> Machine:
    """The machine that `text` describes, catalog values filled and marked.

    Components stand between semicolons: GPUs with a count, one processor with a
    count of sockets, RAM (`16GB DDR4-2666 x1`: total, type and speed, populated
    64-bit channels over all sockets), an operating system, or a whole system
    alone. GB means GiB as sold; GPU memory is the total that the driver reports
    where a source shows it. Driver and CUDA versions stay unknown.

    Raises:
        UnknownNameError, AmbiguousNameError: a name the catalog cannot resolve.
        InputError: an impossible count, size, speed or combination, or 500 characters and more.
    """
    if len(text) > MAX_SPEC_LENGTH:
        raise InputError("input.spec_too_long", limit=MAX_SPEC_LENGTH)
    words = read_words(text)
    integrated = _strix_halo_gpu(words)
    memory = _grace_bandwidth(words, _memory(words))
    boards = [gpu.board for gpu in words.gpus for _ in range(gpu.number)]
    boards += [integrated] if integrated else []
    accelerators: list[Accelerator] = []
    sources: dict[str, Source] = {}
    for index, board in enumerate(boards):
        device, marked = _accelerator(index, board, memory.total_bytes)
        accelerators.append(device)
        sources |= marked
    for pointer, value in (("/memory/total_bytes", memory.total_bytes), ("/cpu/brand", words.cpu)):
        if value is not None:
            sources[pointer] = Source(kind="spec", source="--as")
    laptop = next((device.laptop for device in accelerators if device.laptop), None)
    machine = Machine(
        host=Host(name="; ".join(split_parts(text)), origin=HostOrigin.SPEC, os=_system(words)),
        cpu=_cpu(words),
        memory=memory,
        accelerators=tuple(accelerators),
        links=_links(words.gpus),
        power=Power(laptop=laptop),
        provenance=sources,
    )
    return enrich(machine)
