"""Names of Arm cores by the numbers /proc/cpuinfo prints instead of a name."""

from typing import Final

# (implementer, part) -> core. Source: Linux arch/arm64/include/asm/cputype.h (ARM_CPU_PART_* and the
# vendors' lists) and util-linux sys-utils/lscpu-arm.c, read 2026-11.
_PARTS: Final = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd48"): "Cortex-X2",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4d"): "Cortex-A715",
    ("0x41", "0xd4e"): "Cortex-X3",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd80"): "Cortex-A520",
    ("0x41", "0xd81"): "Cortex-A720",
    ("0x41", "0xd82"): "Cortex-X4",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x41", "0xd84"): "Neoverse-V3",
    ("0x41", "0xd85"): "Cortex-X925",
    ("0x41", "0xd87"): "Cortex-A725",
    ("0x41", "0xd8e"): "Neoverse-N3",
    ("0x4e", "0x004"): "NVIDIA Carmel",
    ("0x51", "0x001"): "Qualcomm Oryon",
    ("0x51", "0x002"): "Qualcomm Oryon",
    ("0x61", "0x022"): "Apple Icestorm (M1)",
    ("0x61", "0x023"): "Apple Firestorm (M1)",
    ("0x61", "0x032"): "Apple Blizzard (M2)",
    ("0x61", "0x033"): "Apple Avalanche (M2)",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1a",
    ("0x48", "0xd01"): "Kunpeng-920",
}


def arm_core_name(implementer: str | None, part: str | None) -> str | None:
    """`Neoverse-V2` for implementer 0x41 and part 0xd4f; None for cores not listed."""
    if implementer is None or part is None:
        return None
    return _PARTS.get((implementer.lower(), part.lower()))
