"""The hardware in words: what decides, and every device with its state."""

from collections.abc import Sequence

from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    HostOrigin,
    Machine,
    Memory,
    OsFamily,
)
from probe.messages import has, t
from probe.render.figures import (
    bandwidth,
    basis,
    count_of,
    counted,
    gib,
    joined,
    unknown,
)
from probe.render.page import Cell, Column, Facts, Section, Table, Tone
from probe.render.tables import device_word, facts
from probe.units import GB, GIB, format_gb_per_s, format_gib

_PAIRS_SHOWN = 4
_IN_MEMORY = "ram"  # a disk's kind: tmpfs, ramfs
_COUNTED = (AcceleratorKind.DISCRETE, AcceleratorKind.UNIFIED)


def machine_name(machine: Machine, lang: str) -> str:
    """What pages call the machine: its name, or `this computer`."""
    return machine.host.name or t("page.title.this_machine", lang)


def grouped(devices: Sequence[Accelerator]) -> list[tuple[int, Accelerator]]:
    """Equal devices counted, in the order of the machine."""
    groups: dict[tuple[object, ...], tuple[int, Accelerator]] = {}
    for device in devices:
        key = (device.kind, device.name, device.memory_total_bytes, device.state, device.state_reason)
        count, first = groups.get(key, (0, device))
        groups[key] = (count + 1, first)
    return list(groups.values())


def deciding_facts(machine: Machine, lang: str) -> Facts:
    """GPU generation, VRAM, bandwidth; then driver and CUDA; then the minor ones."""
    rows: list[tuple[str, str | None]] = [
        *_gpu_rows(machine, lang),
        (t("page.hardware.driver", lang), _driver_text(machine, lang)),
        (t("page.hardware.cpu", lang), _cpu_text(machine, lang)),
        (t("page.hardware.ram", lang), _ram_text(machine.memory, lang)),
        (t("page.hardware.os", lang), os_text(machine, lang)),
    ]
    return facts(rows)


def _gpu_rows(machine: Machine, lang: str) -> list[tuple[str, str | None]]:
    usable = grouped(machine.usable_gpus())
    others = grouped([device for device in machine.accelerators if device not in machine.usable_gpus()])
    label = {name: t(f"page.hardware.{name}", lang) for name in ("gpu", "vram", "bandwidth")}
    rows: list[tuple[str, str | None]] = []
    for count, device in usable:
        rows.append((label["gpu"], _gpu_text(count, device, lang)))
        rows.append((label["vram"], _vram_text(count, device, machine.memory.total_bytes, lang)))
        each = bandwidth(device.bandwidth_bytes_per_s, lang)
        rows.append((label["bandwidth"], t("page.each", lang, value=each) if count > 1 else each))
    if not usable:
        named = any(device.kind in _COUNTED for _, device in others)
        rows.append((label["gpu"], t(f"page.hardware.{'no_gpu_unknown' if named else 'no_gpu'}", lang)))
    if not usable:
        rows.append((label["vram"], t("page.hardware.no_vram", lang)))
    one_pool = any(device.memory_shared for _, device in usable)
    if not usable or (machine.memory.bandwidth_bytes_per_s is not None and not one_pool):
        ram = t("page.hardware.ram_bandwidth", lang, value=_ram_bandwidth_text(machine.memory, lang))
        rows.append(("" if usable else label["bandwidth"], ram))
    other = t("page.hardware.other", lang)
    for position, (count, device) in enumerate(others):
        rows.append(("" if position else other, _other_text(count, device, lang)))
    return rows


def _gpu_text(count: int, device: Accelerator, lang: str) -> str:
    capability = device.compute_capability
    traits = joined(
        (
            t("page.hardware.generation", lang, architecture=device.architecture)
            if device.architecture and device.vendor != "apple"
            else None,
            t("page.hardware.compute_capability", lang, version=capability) if capability else None,
            t("page.hardware.gpu_cores", lang, count=device.gpu_cores) if device.gpu_cores else None,
        ),
        ", ",
    )
    name = count_of(count, device.name)
    return f"{name} ({traits})" if traits else name


def _vram_text(count: int, device: Accelerator, ram_bytes: int | None, lang: str) -> str:
    total = device.memory_total_bytes
    if device.memory_shared:
        return _shared_text(device, device.memory_total_bytes or ram_bytes, lang)
    if total is None:
        return unknown(lang)
    text = gib(total, lang)
    if count > 1:
        text = t(
            "page.hardware.vram_total", lang, each=count_of(count, text), total=format_gib(total * count)
        )
    if count == 1 and device.memory_free_bytes is not None:
        text = joined((text, t("page.hardware.free_now", lang, free=gib(device.memory_free_bytes, lang))))
    return text


def _shared_text(device: Accelerator, total: int | None, lang: str) -> str:
    wired = device.wired_limit_bytes
    if wired is None:
        return t("page.hardware.unified", lang, total=total)
    share = (
        f"{wired.low / GIB:.1f}~{wired.high / GIB:.1f} GiB"
        if wired.low < wired.high
        else gib(wired.value, lang)
    )
    return t("page.hardware.unified_wired", lang, total=total, share=share)


def state_text(device: Accelerator, lang: str) -> str:
    """State of a device, with its cause where there is one; empty when it is usable."""
    if device.state is AcceleratorState.USABLE:
        return ""
    key = f"states.{device.state_reason}.sentence"
    if device.state_reason and has(key, lang):
        return t(key, lang)
    return t(f"states.state.{device.state.value}", lang)


def _kind_text(device: Accelerator, lang: str) -> str:
    if device.kind in _COUNTED:
        return ""
    return t(f"page.hardware.kind_{device.kind.value}", lang)


def _other_text(count: int, device: Accelerator, lang: str) -> str:
    """A device that no engine computes on here, with what serves LLMs on it where that is known."""
    note = device.software_note
    if note and has(note, lang):
        return t(note, lang, name=count_of(count, device.name))
    traits = joined((_kind_text(device, lang), state_text(device, lang)), ", ")
    name = count_of(count, device.name)
    return f"{name}: {traits}" if traits else name


def _ram_bandwidth_text(memory: Memory, lang: str) -> str:
    value = memory.bandwidth_bytes_per_s
    if value is None:
        return unknown(lang)
    text = joined((bandwidth(value, lang), basis(value.basis, lang)))
    if memory.channels is None and memory.single_module_share:
        text = joined((text, t("page.hardware.single_module", lang, share=memory.single_module_share)))
    return text


def _driver_text(machine: Machine, lang: str) -> str:
    nvidia = machine.nvidia
    if nvidia is not None and (nvidia.driver_version or nvidia.cuda_driver_version):
        version, cuda = nvidia.driver_version, nvidia.cuda_driver_version
        toolkit = machine.software.cuda_toolkit_version
        return joined(
            (
                t("page.hardware.driver_version", lang, version=version) if version else None,
                t("page.hardware.cuda_up_to", lang, version=cuda) if cuda else None,
                t("page.hardware.toolkit", lang, version=toolkit) if toolkit else None,
            )
        )
    versions = {device.driver_version for device in machine.usable_gpus() if device.driver_version}
    if versions:
        return joined(
            [t("page.hardware.driver_version", lang, version=version) for version in sorted(versions)]
        )
    vendors = {device.vendor for device in machine.accelerators if device.kind in _COUNTED}
    if not vendors:
        return t("page.hardware.no_driver_needed", lang)
    if vendors == {"apple"}:
        return t("page.hardware.driver_built_in", lang)
    if machine.host.origin is HostOrigin.SPEC:
        return t("page.hardware.not_named", lang)
    if "nvidia" in vendors:
        return t("page.hardware.no_driver", lang)
    return unknown(lang)


def _cpu_text(machine: Machine, lang: str) -> str:
    cpu = machine.cpu
    if cpu.brand is None and cpu.physical_cores is None and cpu.logical_cores is None:
        return t("page.hardware.not_named", lang) if machine.host.origin is HostOrigin.SPEC else unknown(lang)
    limited = None not in (cpu.usable_cores, cpu.logical_cores) and cpu.usable_cores != cpu.logical_cores
    cores = None
    if cpu.physical_cores is not None:
        cores = t("page.hardware.cores_all", lang, physical=cpu.physical_cores)
    return joined(
        (
            count_of(cpu.sockets or 1, cpu.brand) if cpu.brand else None,
            cores,
            t("page.hardware.threads", lang, logical=cpu.logical_cores) if cpu.logical_cores else None,
            t("page.hardware.cores", lang, usable=cpu.usable_cores) if limited else None,
        )
    )


def _ram_text(memory: Memory, lang: str) -> str:
    if memory.total_bytes is None:
        return unknown(lang)
    total = gib(memory.total_bytes, lang)
    if memory.available_bytes is not None:
        total = t("page.hardware.ram_of", lang, total=total, available=gib(memory.available_bytes, lang))
    speed = joined((memory.type, str(memory.speed_mt_per_s) if memory.speed_mt_per_s else None), "-")
    limit = memory.limit_bytes
    return joined(
        (
            total,
            speed,
            t(counted("page.hardware.channels", memory.channels), lang, count=memory.channels)
            if memory.channels
            else None,
            t("page.hardware.ram_limited", lang, limit=gib(limit, lang)) if limit is not None else None,
        )
    )


def os_text(machine: Machine, lang: str) -> str | None:
    """Name, version and what surrounds it; None when nothing is known."""
    system = machine.host.os
    family = {OsFamily.LINUX: "Linux", OsFamily.WINDOWS: "Windows", OsFamily.MACOS: "macOS", None: None}
    name = joined((system.name or family[system.family], system.version), " ")
    return (
        joined(
            (
                name,
                t("page.hardware.wsl", lang, version=system.wsl) if system.wsl else None,
                t("page.hardware.container", lang, name=system.container) if system.container else None,
            )
        )
        or None
    )


def accelerators_table(machine: Machine, lang: str) -> Table:
    """Every device, also those that cannot be used, with its state."""
    titles = (("device", 0), ("memory", 0), ("bandwidth", 0), ("pcie", 100), ("state", 0))
    columns = tuple(
        Column(
            t(f"page.column.{title}", lang),
            right=title in ("memory", "bandwidth"),
            from_width=from_width,
            wraps=title in ("device", "state"),
        )
        for title, from_width in titles
    )
    rows = []
    for count, device in grouped(machine.accelerators):
        state = joined((_kind_text(device, lang), state_text(device, lang)), ", ")
        usable = device.state is AcceleratorState.USABLE
        rows.append(
            (
                Cell(count_of(count, device.name)),
                Cell(gib(device.memory_total_bytes, lang)),
                Cell(bandwidth(device.bandwidth_bytes_per_s, lang)),
                Cell(_pcie_text(device, lang)),
                Cell(state or t("states.state.usable", lang), Tone.PLAIN if usable else Tone.POOR),
            )
        )
    return Table(columns=columns, rows=tuple(rows))


def _pcie_text(device: Accelerator, lang: str) -> str:
    link = device.pcie
    if link is None or link.max_generation is None or link.max_width is None:
        return ""
    return t("page.hardware.pcie", lang, generation=link.max_generation, width=link.max_width)


def disks_table(machine: Machine, lang: str) -> Table:
    """Free space where models would go: not memory that only looks like a folder."""
    columns = (
        Column(t("page.column.path", lang), wraps=True),
        Column(t("page.column.free", lang), right=True),
        Column(t("page.column.total", lang), right=True),
        Column(t("page.column.kind", lang)),
    )
    rows = tuple(
        (
            Cell(disk.path),
            Cell(_gb(disk.free_bytes, lang)),
            Cell(_gb(disk.total_bytes, lang)),
            Cell(disk.kind or unknown(lang)),
        )
        for disk in machine.disks
        if disk.kind != _IN_MEMORY
    )
    return Table(columns=columns, rows=rows)


def _gb(size_bytes: int | None, lang: str) -> str:
    return unknown(lang) if size_bytes is None else f"{size_bytes / GB:,.0f} GB"


def links_table(machine: Machine, lang: str) -> Table:
    """The roads between devices, equal ones together; they matter when a model is split."""
    groups: dict[tuple[str, float | None], list[str]] = {}
    for link in machine.links:
        pair = f"{device_word(link.a, lang)} - {device_word(link.b, lang)}"
        groups.setdefault((link.kind.value, link.bytes_per_s), []).append(pair)
    columns = (
        Column(t("page.column.kind", lang)),
        Column(t("page.column.count", lang), right=True),
        Column(t("page.column.rate", lang), right=True),
        Column(t("page.column.road", lang), wraps=True),
    )
    rows = []
    for (kind, rate), pairs in groups.items():
        shown = pairs[:_PAIRS_SHOWN]
        if len(pairs) > len(shown):
            shown.append(t("page.more", lang, count=len(pairs) - len(shown)))
        written = unknown(lang) if rate is None else format_gb_per_s(rate)
        rows.append((Cell(kind), Cell(str(len(pairs))), Cell(written), Cell(", ".join(shown))))
    return Table(columns=columns, rows=tuple(rows))


def software_facts(machine: Machine, lang: str) -> Facts:
    """Engines and runtimes found, versions where known."""
    rows: list[tuple[str, str | None]] = []
    for engine in machine.software.engines:
        running = t("page.hardware.running", lang, address=engine.address) if engine.address else None
        rows.append((engine.id, joined((engine.version, running)) or t("page.hardware.installed", lang)))
    rows.extend(
        (runtime.id, runtime.version or t("page.hardware.installed", lang))
        for runtime in machine.software.runtimes
    )
    return facts(rows)


def section(title: str, lang: str, *blocks: "Facts | Table") -> Section:
    """A section titled by its message key."""
    return Section(title=t(f"page.section.{title}", lang), blocks=blocks)
