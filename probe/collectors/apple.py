"""Apple silicon: chip, GPU cores and the GPU's share of RAM, under macOS and Linux; Macs with Intel."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask, size_or_none
from probe.collectors.host import Host
from probe.collectors.state_codes import STATES
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.ranges import exact
from probe.machine.software import Runtime, Software
from probe.machine.system import Cpu, Memory

SOURCE: Final = "apple gpu"
_REGISTRY: Final = ("/usr/sbin/ioreg", "-rc", "AGXAccelerator", "-d1", "-w0")
_PROFILER: Final = (
    "/usr/sbin/system_profiler",
    "SPHardwareDataType",
    "SPDisplaysDataType",
    "-json",
    "-detailLevel",
    "mini",
)
_LIMIT_S: Final = 4.5
_MIB: Final = 1024**2
_UNITS: Final = {"KB": 1024, "MB": _MIB, "GB": 1024**3, "TB": 1024**4}
# The name of the GPU's limit since macOS 14, and before.
_WIRED_LIMITS: Final = ("iogpu.wired_limit_mb", "debug.iogpu.wired_limit")
# Device tree names of chips: Linux, arch/arm64/boot/dts/apple.
_CHIPS: Final = {
    "t8103": "Apple M1",
    "t6000": "Apple M1 Pro",
    "t6001": "Apple M1 Max",
    "t6002": "Apple M1 Ultra",
    "t8112": "Apple M2",
    "t6020": "Apple M2 Pro",
    "t6021": "Apple M2 Max",
    "t6022": "Apple M2 Ultra",
    "t8122": "Apple M3",
    "t6030": "Apple M3 Pro",
    "t6031": "Apple M3 Max",
    "t6034": "Apple M3 Max",
    "t6032": "Apple M3 Ultra",
    "t8132": "Apple M4",
    "t6040": "Apple M4 Pro",
    "t6041": "Apple M4 Max",
}


class AppleTold(msgspec.Struct, frozen=True, kw_only=True):
    """Chip and GPU as a program names them; `displays` are the rows of a Mac with other GPUs."""

    chip: str | None = None
    gpu_cores: int | None = None
    memory_bytes: int | None = None
    displays: tuple[Accelerator, ...] = ()


def collect(host: Host) -> Facts:
    """The chip by sysctl, its GPU cores by the IO registry; the slow profiler where those do not say."""
    translated = host.sysctl("sysctl.proc_translated") == 1
    brand, total = host.sysctl("machdep.cpu.brand_string"), host.sysctl("hw.memsize")
    memory = total if isinstance(total, int) else None
    if memory:
        yield Found(Memory(total_bytes=memory), "sysctl")
    chip = brand if isinstance(brand, str) and brand.startswith("Apple ") else None
    if translated:
        # Under Rosetta the processor calls itself `VirtualApple @ 2.50GHz` and x86_64.
        yield Attempt(source="Rosetta", result=AttemptResult.OK, ms=0.0, code="python_under_rosetta")
        native = Cpu(architecture="aarch64", vendor="apple", isa=("asimd", "asimddp"))
        yield Found(native, "sysctl")
    if chip is None and not translated:
        yield from _collect_intel_mac(host)
        return
    if chip:
        yield Found(_gpu(host, chip, None, memory), SOURCE)
    yield Found(Software(runtimes=(Runtime(id="metal"),)), SOURCE)
    registry, attempt = ask(host, "ioreg", lambda: host.run(_REGISTRY, timeout_s=2.0))
    yield attempt
    told = AppleTold() if isinstance(registry, Failure) else parse_registry(registry.stdout)
    if told.gpu_cores is None or (told.chip or chip) is None:
        output, attempt = ask(host, "system_profiler", lambda: host.run(_PROFILER, timeout_s=_LIMIT_S))
        yield attempt
        slow = AppleTold() if isinstance(output, Failure) else parse_profiler(output.stdout)
        told = AppleTold(chip=told.chip or slow.chip, gpu_cores=told.gpu_cores or slow.gpu_cores)
    chip = told.chip or chip
    if chip:
        yield Found(_gpu(host, chip, told.gpu_cores, memory), SOURCE)
        yield Found(Cpu(brand=chip, vendor="apple"), SOURCE)
        yield Found(_neural_engine(), "chip")


def collect_asahi(host: Host) -> Facts:
    """A Mac under Linux: the chip by the device tree, the GPU by its driver."""
    text, attempt = ask(host, "device tree", lambda: host.read_text("/proc/device-tree/compatible"))
    chip = None if isinstance(text, Failure) else parse_compatible(text)
    if chip is None:
        return
    yield attempt
    driven = host.exists("/sys/bus/platform/drivers/asahi")
    yield Found(
        Accelerator(
            index=0,
            kind=AcceleratorKind.UNIFIED,
            vendor="apple",
            name=chip,
            state=AcceleratorState.USABLE if driven else AcceleratorState.NO_DRIVER,
            state_reason=None if driven else "no_driver",
            memory_shared=True,
        ),
        SOURCE,
    )
    yield Found(Cpu(brand=chip, vendor="apple"), "device tree")


def parse_compatible(text: str) -> str | None:
    """The chip of `apple,j314s apple,t6000 apple,arm-platform` (parts end with a NUL)."""
    parts = [part.removeprefix("apple,") for part in text.split("\0") if part.startswith("apple,")]
    return next((_CHIPS[part] for part in parts if part in _CHIPS), None)


def parse_registry(text: str) -> AppleTold:
    """`"model" = "Apple M4 Max"` and `"gpu-core-count" = 40` of the IO registry's accelerator."""
    chip = re.search(r'"model" = "(Apple [^"]+)"', text)
    cores = re.search(r'"gpu-core-count" = (\d+)', text)
    return AppleTold(chip=chip[1] if chip else None, gpu_cores=_cores(cores[1]) if cores else None)


def parse_profiler(text: str) -> AppleTold:
    """`system_profiler SPHardwareDataType SPDisplaysDataType -json`; damaged output tells nothing."""
    try:
        document = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return AppleTold()
    hardware = (_rows(document, "SPHardwareDataType") or [{}])[0]
    displays = _rows(document, "SPDisplaysDataType")
    own = next((row for row in displays if str(row.get("sppci_model", "")).startswith("Apple ")), {})
    cores = own.get("sppci_cores")
    chip = hardware.get("chip_type")
    return AppleTold(
        chip=chip if isinstance(chip, str) else None,
        gpu_cores=_cores(cores),
        memory_bytes=_size(hardware.get("physical_memory")),
        displays=tuple(
            row for index, card in enumerate(displays) if card is not own and (row := _display(card, index))
        ),
    )


def _collect_intel_mac(host: Host) -> Facts:
    output, attempt = ask(host, "system_profiler", lambda: host.run(_PROFILER, timeout_s=_LIMIT_S))
    yield attempt
    if not isinstance(output, Failure):
        for row in parse_profiler(output.stdout).displays:
            yield Found(row, SOURCE)


def _gpu(host: Host, chip: str, cores: int | None, memory_bytes: int | None) -> Accelerator:
    told = [host.sysctl(name) for name in _WIRED_LIMITS]
    wired = next((value for value in told if isinstance(value, int) and value > 0), 0)
    if wired >= _MIB * 64:
        wired //= _MIB  # the old name counted bytes
    return Accelerator(
        index=0,
        kind=AcceleratorKind.UNIFIED,
        vendor="apple",
        name=chip,
        state=AcceleratorState.USABLE,
        memory_shared=True,
        memory_total_bytes=memory_bytes,
        gpu_cores=cores,
        # 0 stands for the system's own choice, which is no fixed share: left to the catalog's range.
        wired_limit_bytes=exact(float(wired * _MIB), "read") if wired else None,
    )


def _neural_engine() -> Accelerator:
    return Accelerator(
        index=1,
        kind=AcceleratorKind.NPU,
        vendor="apple",
        name="Apple Neural Engine",
        state=AcceleratorState.USABLE,
        memory_shared=True,
    )


def _display(card: Mapping[str, Any], index: int) -> Accelerator | None:
    """A GPU of a Mac with an Intel processor; its memory is told as `4 GB` or, shared, as `1536 MB`."""
    name = card.get("sppci_model") or card.get("_name")
    if not isinstance(name, str):
        return None
    maker = f"{card.get('spdisplays_vendor', '')} {name}".lower()
    vendor = next((word for word in ("intel", "amd", "nvidia") if word in maker), "other")
    inside = card.get("sppci_bus") == "spdisplays_builtin" or "spdisplays_vram_shared" in card
    ids = re.search(r"0x([0-9a-fA-F]{4})", str(card.get("spdisplays_device-id", "")))
    vendor_id = {"intel": "8086", "amd": "1002", "nvidia": "10de"}.get(vendor)
    return Accelerator(
        index=index,
        kind=AcceleratorKind.INTEGRATED if inside else AcceleratorKind.DISCRETE,
        vendor=vendor,
        name=name,
        # Builds of llama.cpp and Ollama for Intel Macs compute on the processor only.
        state=AcceleratorState.USABLE if inside else STATES["intel_mac_gpu"],
        state_reason=None if inside else "intel_mac_gpu",
        pci_id=f"{vendor_id}:{ids[1].lower()}" if ids and vendor_id else None,
        memory_shared=inside,
        memory_total_bytes=None if inside else _size(card.get("spdisplays_vram")),
    )


def _cores(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isdigit() and len(value) < 5 else None


def _rows(document: object, name: str) -> list[Mapping[str, Any]]:
    rows = document.get(name) if isinstance(document, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _size(value: object) -> int | None:
    words = value.split() if isinstance(value, str) else []
    number = size_or_none(words[0]) if len(words) == 2 else None
    factor = _UNITS.get(words[1]) if len(words) == 2 else None
    return None if number is None or factor is None else size_or_none(number * factor)
