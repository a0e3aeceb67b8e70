"""One error, many machines: the advice follows what the machine says, and unknown facts give the careful one.

Driver floors: catalogs/engines/cuda.json (CUDA 13 asks for 580; Volta ends with 580, Maxwell to Pascal too).
"""

from typing import Any

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.machine import AcceleratorState, Machine, NvidiaDriver
from probe.machine.system import Cpu, Memory
from probe.recommender.error_facts import device_of, gguf_engines_for, size_of, utilization_for, vllm_for
from probe.recommender.explain_error import Explanation, explain
from probe.units import GIB, MIB

TOO_OLD = "The NVIDIA driver on your system is too old (found version 12020)"
NO_KERNEL = "no kernel image is available for execution on the device"
FREE = (
    "Free memory on device cuda:0 (3.27/15.98 GiB) on startup is less than desired GPU memory "
    "utilization (0.9, 14.39 GiB)"
)
OUT = "CUDA out of memory. Tried to allocate 2.00 GiB"
RAM = "model requires more system memory (12.0 GiB) than is available (6.0 GiB)"
BF16 = "Bfloat16 is only supported on GPUs with compute capability of at least 8.0."
FP8 = "FP8 KV cache is not supported by the Triton attention backend"
MISMATCH = "Driver/library version mismatch"
ILLEGAL = "Illegal instruction (core dumped)"
NO_DEVICE = "Failed to infer device type"


def _machine(spec: str, driver: str | None = None, **gpu: Any) -> Machine:
    machine = enrich(from_spec(f"{spec}; linux"))
    devices = tuple(msgspec.structs.replace(one, **gpu) for one in machine.accelerators)
    nvidia = NvidiaDriver(driver_version=driver) if driver else None
    return msgspec.structs.replace(machine, accelerators=devices, nvidia=nvidia)


def _told(text: str, machine: Machine) -> Explanation:
    (found,) = explain(text, machine)
    return found


def _versions(module: str, library: str) -> Machine:
    driver = NvidiaDriver(kernel_module_version=module, library_version=library)
    return msgspec.structs.replace(_machine("RTX 4090"), nvidia=driver)


def _isa(*names: str) -> Machine:
    return msgspec.structs.replace(_machine("RTX 4090"), cpu=Cpu(isa=names))


def _ram(total: int | None, limit: int | None = None) -> Machine:
    return msgspec.structs.replace(_machine("RTX 4090"), memory=Memory(total_bytes=total, limit_bytes=limit))


@pytest.mark.parametrize(
    ("text", "machine", "advice"),
    [
        # The driver is new enough after all: another one is loaded, or another environment was used.
        (TOO_OLD, _machine("RTX 4090", "580.95.05"), ("driver_is_new",)),
        (TOO_OLD, _machine("RTX 4090"), ("update_driver",)),
        (TOO_OLD, _machine("V100 PCIe 16GB", "535.183.01"), ("update_driver_up_to", "or_vllm")),
        (TOO_OLD, _machine("2x P100 16GB", "535.183.01"), ("no_vllm_for_gpu", "use_engines")),
        (TOO_OLD, _machine("Core i5-8500"), ("other_machine",)),
        (NO_KERNEL, _machine("RTX 4090", compute_capability=None), ("match_capability",)),
        (NO_KERNEL, _machine("RTX 4090", "580.95.05"), ("package_too_old",)),
        (NO_KERNEL, _machine("RTX 4090", "535.183.01"), ("package_too_old", "update_driver")),
        (NO_KERNEL, _machine("V100 PCIe 16GB", "550.54.14"), ("older_vllm",)),
        (NO_KERNEL, _machine("V100 PCIe 16GB", "418.40"), ("update_driver_up_to",)),
        (NO_KERNEL, _machine("P100 16GB", "535.183.01"), ("no_vllm_for_gpu", "use_engines")),
        (NO_KERNEL, _machine("P100 16GB"), ("no_vllm_for_gpu", "use_engines_check_driver")),
        (FREE, _machine("T4", memory_free_bytes=15 * GIB), ("free_again",)),
        (FREE, _machine("T4", memory_free_bytes=8 * GIB), ("free_missing", "utilization")),
        (FREE, _machine("T4", memory_free_bytes=GIB), ("free_missing", "too_little_free")),
        (OUT, _machine("RTX 4090", memory_free_bytes=GIB), ("missing", "smaller_on_gpu")),
        (OUT, _machine("RTX 4090", memory_free_bytes=4 * GIB), ("fragmented", "smaller_on_gpu")),
        (OUT, _machine("RTX 4090", memory_free_bytes=None), ("asked", "smaller_on_gpu")),
        (OUT.replace("2.00", "99.0"), _machine("RTX 4090"), ("never_fits", "smaller_on_gpu")),
        (RAM, _ram(8 * GIB), ("never_fits", "smaller_model")),
        (RAM, _ram(64 * GIB, 8 * GIB), ("never_fits", "smaller_model")),
        (RAM, _ram(16 * GIB), ("missing", "close_or_smaller")),
        (RAM.replace("6.0", "14.0"), _ram(None), ("close_or_smaller",)),
        (BF16, _machine("T4"), ("dtype_half",)),
        # The GPU of this machine has it: the message is from another one.
        (BF16, _machine("RTX 4090"), ("other_gpu",)),
        (BF16, _machine("P100 16GB"), ("no_vllm_for_gpu", "use_engines_check_driver")),
        (FP8, _machine("RTX 4090"), ("other_gpu", "kv_auto")),
        (FP8, _machine("RTX 3090"), ("kv_auto",)),
        (MISMATCH, _versions("580.95.05", "580.95.05"), ("versions_equal",)),
        (MISMATCH, _versions("570.124.06", "580.95.05"), ("reboot",)),
        (ILLEGAL, _isa(), ("other_build",)),
        (ILLEGAL, _isa("avx"), ("no_avx2",)),
        (ILLEGAL, _isa("avx", "avx2"), ("no_avx512",)),
        (ILLEGAL, _isa("avx", "avx2", "avx512f"), ("other_build",)),
        (NO_DEVICE, _machine("Arc B580"), ("vulkan_build",)),
        (NO_DEVICE, _machine("Core i5-8500"), ("cpu_engines",)),
        (NO_DEVICE, _machine("RTX 4090", state=AcceleratorState.NO_DRIVER), ("install_driver",)),
        (NO_DEVICE, _machine("RTX 4090", state=AcceleratorState.BLOCKED), ("run_doctor",)),
        (NO_DEVICE, _machine("RTX 4090"), ("gpu_is_fine",)),
    ],
)
def test_advice_follows_the_machine(text: str, machine: Machine, advice: tuple[str, ...]) -> None:
    assert _told(text, machine).advice == advice


def test_card_that_cannot_be_used_is_named_with_its_state() -> None:
    facts = _told(FREE, _machine("T4", state=AcceleratorState.BLOCKED, memory_free_bytes=GIB)).facts
    assert "state_blocked" in facts
    assert _told(FREE, _machine("Core i5-8500")).facts[0] == "no_gpu"


def test_memory_of_a_card_that_says_nothing_cannot_be_shared_out() -> None:
    """Neither the message nor the machine tells what is free."""
    text = FREE.replace("3.27", ".")
    assert _told(text, _machine("T4", memory_free_bytes=None)).advice == ("free_gpu",)


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("39.19 GiB", "", 42_079_942_082),
        # Ollama writes decimal units, the others binary ones.
        ("7.9 GB", "", 7_900_000_000),
        ("512 MiB", "", 512 * MIB),
        ("2", "G", 2 * GIB),
        ("2", "", 2),
        ("...", "G", None),
        ("", "G", None),
        (None, "G", None),
    ],
)
def test_sizes_of_messages(text: str | None, unit: str, size: int | None) -> None:
    assert size_of(text, unit=unit) == size


@pytest.mark.parametrize(
    ("mask", "index", "expected"),
    [
        (None, "1", 1),
        (None, None, 0),
        ("1,0", "0", 1),
        ("1", "1", None),
        ("GPU-8f6e", "0", None),
        ("7", "0", None),
    ],
)
def test_number_of_a_device_counts_behind_the_mask(
    mask: str | None, index: str | None, expected: int | None
) -> None:
    machine = _machine("2x RTX 3090")
    software = msgspec.structs.replace(
        machine.software, environment={"CUDA_VISIBLE_DEVICES": mask} if mask else {}
    )
    found = device_of(msgspec.structs.replace(machine, software=software), index)
    assert (None if found is None else found.index) == expected


def test_nothing_is_promised_for_an_unknown_generation_or_driver() -> None:
    assert vllm_for("580.95.05", None, None) is None
    assert gguf_engines_for(None, "6.0", None) == ""
    assert gguf_engines_for("580.95.05", None, None) == ""
    assert (utilization_for(None, 8 * GIB), utilization_for(GIB, None)) == (None, None)
    assert utilization_for(0, 8 * GIB) == 0
