"""The processor: its name, how many cores we may use, which instructions the system offers."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from probe.collectors.answers import PYTHON, Failure, PlatformFacts, RegistryValue
from probe.collectors.arm_parts import arm_core_name
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.system import Cpu

# What engines choose their code by; the rest of the hundred flags says nothing about speed.
_TELLING: Final = frozenset(
    "sse3 ssse3 sse4_1 sse4_2 popcnt avx avx2 avx_vnni avx_vnni_int8 avx_vnni_int16 avx_ifma avx_ne_convert "  # noqa: SIM905
    "avx10 f16c fma bmi1 bmi2 vaes gfni amx_tile amx_int8 amx_bf16 amx_fp16 amx_complex "
    "neon asimd asimdhp asimddp fphp i8mm bf16 sve sve2 svei8mm svebf16 sme sme2 smei8i32 aes "
    "altivec vsx mma vxe vxe2 rvv lasx lsx".split()
)
_KERNEL_SPELLING: Final = {"pni": "sse3"}
_VENDORS: Final = {
    "GenuineIntel": "intel",
    "AuthenticAMD": "amd",
    "HygonGenuine": "hygon",
    "CentaurHauls": "zhaoxin",
    "  Shanghai  ": "zhaoxin",
    "GenuineTMx86": "transmeta",
}
_REGISTRY_KEY: Final = r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0"
# winnt.h, PF_* constants -> Linux spelling.
_WINDOWS_FEATURES: Final = {
    13: "sse3",
    36: "ssse3",
    37: "sse4_1",
    38: "sse4_2",
    39: "avx",
    40: "avx2",
    41: "avx512f",
}
_WINDOWS_ARM_FEATURES: Final = {
    43: "asimddp",
    46: "sve",
    47: "sve2",
    66: "i8mm",
    67: "asimdhp",
    68: "bf16",
    70: "sme",
}
# macOS sysctl -> Linux spelling.
_MACOS_FEATURES: Final = {
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.f16c": "f16c",
    "hw.optional.fma": "fma",
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.arm.FEAT_SME2": "sme2",
}
_CHILD_LIMIT_S: Final = 3.0
# py-cpuinfo starts processes and sleeps: only in a child that can be killed.
_CHILD_PROGRAM: Final = (
    "import cpuinfo,json;i=cpuinfo.get_cpu_info();"
    "print(json.dumps({k:i.get(k) for k in ('brand_raw','vendor_id_raw','flags')}))"
)


def collect(host: Host) -> Facts:
    """The processor by the system's own tables; the library that guesses is asked last."""
    facts = host.platform()
    yield Found(Cpu(architecture=facts.architecture, logical_cores=facts.logical_cores), "interpreter")
    brand: str | None = None
    if facts.system == "linux":
        cpu, attempt = ask(host, "/proc/cpuinfo", lambda: _linux(host, facts))
    elif facts.system == "windows":
        cpu, attempt = ask(host, "registry: processor", lambda: _windows(host))
    elif facts.system == "macos":
        cpu, attempt = ask(host, "sysctl: processor", lambda: _macos(host))
    else:
        cpu, attempt = Failure(AttemptResult.SKIPPED), None
    if attempt:
        yield attempt
    if isinstance(cpu, Cpu) and attempt:
        brand = cpu.brand
        yield Found(cpu, attempt.source)
    yield from _collect_cores(host, cpu if isinstance(cpu, Cpu) else None)
    if brand is None:
        yield from _ask_library(host)


def _collect_cores(host: Host, known: Cpu | None) -> Facts:
    affinity = host.affinity()
    if not isinstance(affinity, Failure):
        yield Found(Cpu(usable_cores=affinity), "affinity")
    if known is None or known.physical_cores is None or known.logical_cores is None:
        counts, attempt = ask(host, "psutil: cores", host.core_counts)
        yield attempt
        if not isinstance(counts, Failure):
            yield Found(Cpu(physical_cores=counts[0], logical_cores=counts[1]), "psutil")


def _ask_library(host: Host) -> Facts:
    """py-cpuinfo in a child with a time limit, where the system's tables gave no name."""
    source = "py-cpuinfo"
    output, attempt = ask(
        host, source, lambda: host.run((PYTHON, "-c", _CHILD_PROGRAM), timeout_s=_CHILD_LIMIT_S)
    )
    if isinstance(output, Failure):
        yield attempt
        return
    cpu = parse_library_answer(output.stdout)
    if cpu is None:
        yield Attempt(
            source=source, result=AttemptResult.FAILED, ms=attempt.ms, detail="no answer in its output"
        )
        return
    yield attempt
    yield Found(cpu, source)


def _linux(host: Host, facts: PlatformFacts) -> Cpu | Failure:
    text = host.read_text("/proc/cpuinfo", 16 * 1024 * 1024)
    if isinstance(text, Failure):
        return text
    cpu = parse_cpuinfo(text, facts.architecture)
    if cpu.physical_cores is None:
        cores = _sysfs_cores(host)
        cpu = Cpu(
            brand=cpu.brand,
            vendor=cpu.vendor,
            architecture=cpu.architecture,
            isa=cpu.isa,
            logical_cores=cpu.logical_cores,
            physical_cores=len(set(cores)) or None,
            sockets=len({package for package, _ in cores}) or None,
        )
    return cpu


def _sysfs_cores(host: Host) -> list[tuple[str, str]]:
    """(package, cores sharing one pipeline) of every processor, where /proc/cpuinfo has no topology (Arm)."""
    base = "/sys/devices/system/cpu"
    names = host.list_directory(base)
    if isinstance(names, Failure):
        return []
    cores: list[tuple[str, str]] = []
    for name in names:
        if re.fullmatch(r"cpu\d+", name):
            package = host.read_text(f"{base}/{name}/topology/physical_package_id")
            siblings = host.read_text(f"{base}/{name}/topology/thread_siblings_list")
            if not isinstance(package, Failure) and not isinstance(siblings, Failure):
                cores.append((package.strip(), siblings.strip()))
    return cores


def parse_cpuinfo(text: str, architecture: str | None = None) -> Cpu:
    """Name, vendor, cores, sockets and instruction sets of /proc/cpuinfo, for every architecture.

    Flags are those the kernel offers, so AVX-512 or AMX that the system does
    not save across task switches is not among them.
    """
    blocks = [_fields(block) for block in re.split(r"\n\s*\n", text) if block.strip()]
    processors = [block for block in blocks if "processor" in block] or blocks
    merged: dict[str, str] = {}
    for block in blocks:
        for name, value in block.items():
            merged.setdefault(name, value)
    cores = {
        (block["physical id"], block["core id"])
        for block in processors
        if "physical id" in block and "core id" in block
    }
    flags = " ".join(
        merged.get(name, "") for name in ("flags", "Features", "features", "CPU Features", "isa")
    )
    return Cpu(
        brand=_brand(processors, merged),
        vendor=_vendor(merged, architecture),
        architecture=architecture,
        physical_cores=len(cores) or None,
        logical_cores=sum(1 for block in blocks if "processor" in block) or None,
        sockets=len({package for package, _ in cores}) or None,
        isa=telling_flags(flags.split()),
    )


def telling_flags(flags: Iterable[str]) -> tuple[str, ...]:
    """The flags that matter to engines, in Linux spelling, sorted."""
    known: set[str] = set()
    for flag in flags:
        name = _KERNEL_SPELLING.get(flag, flag)
        if name in _TELLING or name.startswith("avx512"):
            known.add(name)
        elif name.startswith("rv64") and "v" in name[4:].split("_")[0]:
            known.add("rvv")
    return tuple(sorted(known))


def _fields(block: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in block.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _brand(processors: list[dict[str, str]], merged: Mapping[str, str]) -> str | None:
    for name in ("model name", "cpu model", "cpu", "uarch"):
        value = merged.get(name)
        if value and not value.startswith("ARMv"):
            return " ".join(value.split())
    numbers = {(block.get("CPU implementer"), block.get("CPU part")) for block in processors}
    names = sorted({core for pair in numbers if (core := arm_core_name(*pair))}, reverse=True)
    if names:
        return " + ".join(names)
    return merged.get("Model") or merged.get("Hardware") or None


def _vendor(merged: Mapping[str, str], architecture: str | None) -> str | None:
    told = merged.get("vendor_id")
    if told:
        return _VENDORS.get(told, "ibm" if told.startswith("IBM") else "other")
    implementer = merged.get("CPU implementer")
    if implementer:
        return {"0x41": "arm", "0x4e": "nvidia", "0x51": "qualcomm", "0x61": "apple", "0xc0": "ampere"}.get(
            implementer.lower(), "other"
        )
    if architecture and architecture.startswith("ppc"):
        return "ibm"
    return None


def _windows(host: Host) -> Cpu | Failure:
    values = host.registry_values(_REGISTRY_KEY)
    if isinstance(values, Failure):
        return values
    arm = is_arm(values)
    features = _WINDOWS_ARM_FEATURES if arm else _WINDOWS_FEATURES
    flags = [name for number, name in features.items() if host.native(_FEATURE, number) is True]
    if arm:
        flags.append("asimd")  # part of every 64-bit Arm processor
    elif isinstance(states := host.native("GetEnabledXStateFeatures"), int) and states & _AMX_STATE:
        flags += ["amx_tile", "amx_int8", "amx_bf16"]  # no processor has the tiles without both
    return parse_registry_processor(values, flags)


_FEATURE: Final = "IsProcessorFeaturePresent"
_AMX_STATE: Final = 1 << 18  # XSTATE_MASK_AMX_TILE_DATA, winnt.h


def is_arm(values: Mapping[str, RegistryValue]) -> bool:
    """Whether the processor is an Arm one: an emulated interpreter of x86 does not know."""
    return str(values.get("Identifier", "")).startswith("ARM")


def parse_registry_processor(values: Mapping[str, RegistryValue], flags: Iterable[str]) -> Cpu:
    """The processor of the Windows registry. AVX2 implies FMA and F16C on every processor sold with it."""
    isa = set(flags)
    if "avx2" in isa:
        isa |= {"fma", "f16c", "bmi2"}
    brand = " ".join(str(values.get("ProcessorNameString", "")).split()) or None
    vendor = str(values.get("VendorIdentifier", ""))
    return Cpu(
        brand=brand,
        architecture="aarch64" if is_arm(values) else None,
        vendor=_VENDORS.get(vendor, "qualcomm" if "Qualcomm" in vendor else "other") if vendor else None,
        isa=telling_flags(isa),
    )


def _macos(host: Host) -> Cpu | Failure:
    brand = host.sysctl("machdep.cpu.brand_string")
    if isinstance(brand, Failure):
        return brand
    isa = {name for key, name in _MACOS_FEATURES.items() if host.sysctl(key) == 1}
    text = host.sysctl("machdep.cpu.features")  # Intel only
    if isinstance(text, str):
        isa |= {word.lower().replace(".", "_") for word in text.split()}
    physical, logical = host.sysctl("hw.physicalcpu"), host.sysctl("hw.logicalcpu")
    return Cpu(
        brand=str(brand),
        vendor="apple" if str(brand).startswith("Apple") else "intel",
        physical_cores=physical if isinstance(physical, int) else None,
        logical_cores=logical if isinstance(logical, int) else None,
        sockets=1,
        isa=telling_flags(isa),
    )


def parse_library_answer(text: str) -> Cpu | None:
    """The last line of the child's output as a processor; None when it is no answer."""
    import msgspec

    lines = text.strip().splitlines()
    try:
        answer = msgspec.json.decode(lines[-1] if lines else "", type=dict[str, str | list[str] | None])
    except msgspec.MsgspecError:
        return None
    brand, vendor, flags = answer.get("brand_raw"), answer.get("vendor_id_raw"), answer.get("flags")
    return Cpu(
        brand=" ".join(brand.split()) if isinstance(brand, str) and brand.strip() else None,
        vendor=_VENDORS.get(vendor, "other") if isinstance(vendor, str) else None,
        isa=telling_flags(flags) if isinstance(flags, list) else (),
    )
