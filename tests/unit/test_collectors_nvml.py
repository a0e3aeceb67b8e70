"""Every NVML row of the pitfalls table, through the real bindings and the whole scan."""

from pathlib import Path

import pynvml
import pytest

from probe.machine import (
    AcceleratorKind,
    AcceleratorState,
    AttemptResult,
    ForeignProcess,
)
from tests.fakes.hosts import pci_card
from tests.fakes.nvml_cards import MIB, RTX_4090, at
from tests.fakes.nvml_library import Error, Rows
from tests.fakes.nvml_scan import nvml_attempt, scan, states

GIB = 1024**3


def test_every_figure_of_a_healthy_card_is_read(tmp_path: Path) -> None:
    machine = scan(tmp_path, RTX_4090, files={"/proc/1/comm": "Xorg\n"})
    (card,) = machine.accelerators
    assert machine.nvidia is not None
    assert (machine.nvidia.driver_version, machine.nvidia.cuda_driver_version) == ("580.95.05", "13.0")
    assert (card.index, card.vendor, card.kind) == (0, "nvidia", AcceleratorKind.DISCRETE)
    assert (card.name, card.state, card.state_reason) == (
        "NVIDIA GeForce RTX 4090",
        AcceleratorState.USABLE,
        None,
    )
    assert (card.pci_address, card.pci_id) == ("0000:01:00.0", "10de:2684")
    assert (card.architecture, card.compute_capability) == ("Ada", "8.9")
    assert card.memory_total_bytes == 24564 * MIB
    assert card.memory_free_bytes == 23800 * MIB
    assert card.memory_reserved_bytes == 452 * MIB
    assert card.bandwidth_bytes_per_s is not None
    assert card.bandwidth_bytes_per_s.basis == "nvml"
    assert card.bandwidth_bytes_per_s.value == pytest.approx(1008e9, rel=0.001)
    assert (card.bus_width_bits, card.memory_clock_mhz) == (384, 10501)
    assert card.driver_version == "580.95.05"
    assert card.pcie is not None
    assert (card.pcie.generation, card.pcie.max_generation, card.pcie.max_width) == (1, 4, 16)
    assert card.pcie.device_max_generation == 4
    assert (card.power_limit_w, card.power_limit_default_w, card.power_limit_max_w) == (450, 450, 600)
    assert card.bar1_bytes == 32 * GIB
    assert (card.compute_mode, card.virtualization, card.persistence_mode) == ("default", "none", False)
    assert card.clock_reasons == ("gpu_idle",)
    assert card.processes == (ForeignProcess(pid=1, name="Xorg", memory_bytes=300 * MIB),)
    assert card.ecc_enabled is None  # this card has none: unknown, not off
    assert card.mig_enabled is None


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        (4, "NoPermission", ("blocked", "no_permission")),
        (8, "InsufficientPower", ("unusable", "insufficient_power")),
        (9, "DriverNotLoaded", ("unusable", "module_not_loaded")),
        (11, "IrqIssue", ("unusable", "irq_issue")),
        (15, "GpuIsLost", ("unusable", "gpu_lost")),
        (17, "OperatingSystem", ("blocked", "blocked_by_system")),
        (18, "LibRmVersionMismatch", ("unusable", "driver_mismatch")),
        (999, "Unknown", ("unusable", "driver_unknown_error")),
    ],
)
def test_each_init_error_is_told_apart(
    tmp_path: Path, code: int, name: str, expected: tuple[str, str]
) -> None:
    """The card is on the bus with NVIDIA's module bound; only NVML fails."""
    machine = scan(
        tmp_path,
        init=code,
        files={**pci_card("0000:01:00.0"), "/dev/nvidiactl": "", "/dev/nvidia0": ""},
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    _, attempt_code, detail = nvml_attempt(machine)
    assert attempt_code == expected[1]
    assert detail is not None
    assert f"{name} ({code})" in detail
    wanted = ("no_driver", "module_not_loaded") if code == 9 else expected
    assert states(machine) == [wanted]
    assert machine.accelerators[0].memory_total_bytes is None


def test_library_that_reports_itself_missing_is_absent_and_no_fault_without_a_card(tmp_path: Path) -> None:
    machine = scan(tmp_path, init=12)
    assert nvml_attempt(machine)[:2] == (AttemptResult.ABSENT, None)
    assert machine.accelerators == ()


def test_driver_package_without_any_card_is_a_finding_and_no_accelerator(tmp_path: Path) -> None:
    machine = scan(tmp_path, init=9, files={"/sys/bus/pci/devices/0000:00:00.0/class": "0x060000\n"})
    assert machine.accelerators == ()
    assert nvml_attempt(machine)[1] == "driver_without_card"


def test_where_the_bus_cannot_be_seen_no_one_says_there_is_no_card(tmp_path: Path) -> None:
    machine = scan(tmp_path, init=9)
    assert machine.accelerators == ()
    assert nvml_attempt(machine)[1] == "module_not_loaded"


def test_loaded_library_that_counts_no_device_is_a_finding(tmp_path: Path) -> None:
    machine = scan(tmp_path)
    assert machine.accelerators == ()
    assert nvml_attempt(machine)[:2] == (AttemptResult.OK, "driver_without_card")


def test_card_without_driver_is_named_by_the_bus(tmp_path: Path) -> None:
    machine = scan(tmp_path, init=12, files=pci_card("0000:01:00.0"))
    assert states(machine) == [("no_driver", "no_driver")]
    assert machine.accelerators[0].pci_id == "10de:2684"
    assert nvml_attempt(machine)[1] == "library_not_found"


def test_installed_driver_whose_module_is_not_loaded(tmp_path: Path) -> None:
    machine = scan(tmp_path, init=9, files=pci_card("0000:01:00.0"))
    assert states(machine) == [("no_driver", "module_not_loaded")]


def test_mismatch_prints_both_versions(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        init=18,
        files={
            **pci_card("0000:01:00.0"),
            "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.82.07  Wed",
            "/proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA GeForce RTX 4090\n",
        },
        links={
            "/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia",
            "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.580.95.05",
        },
    )
    detail = nvml_attempt(machine)[2]
    assert detail is not None
    assert "kernel module 580.82.07, library 580.95.05" in detail
    assert machine.nvidia is not None
    assert machine.nvidia.kernel_module_version == "580.82.07"
    assert machine.accelerators[0].name == "NVIDIA GeForce RTX 4090"
    assert states(machine) == [("unusable", "driver_mismatch")]


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("nouveau", ("no_driver", "nouveau")),
        ("nova_core", ("no_driver", "nouveau")),
        ("vfio-pci", ("blocked", "given_to_virtual_machine")),
        ("nvidia", ("unusable", "library_not_found")),
    ],
)
def test_what_drives_the_card_decides(tmp_path: Path, driver: str, expected: tuple[str, str]) -> None:
    machine = scan(
        tmp_path,
        init=12,
        files=pci_card("0000:01:00.0"),
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": f"../../../bus/pci/drivers/{driver}"},
    )
    assert states(machine) == [expected]


@pytest.mark.parametrize(("code", "reason"), [(15, "gpu_lost"), (16, "reset_required")])
def test_card_lost_in_the_middle_of_the_scan_stays_a_row_and_leaves_the_pool(
    tmp_path: Path, code: int, reason: str
) -> None:
    """As on the mock library: even the name fails while compute capability still answers."""
    lost = {
        **at(RTX_4090, 0x41),
        "nvmlDeviceGetName": Error(code),
        "nvmlDeviceGetMemoryInfo_v2": Error(code),
        "nvmlDeviceGetMemoryInfo": Error(code),
    }
    machine = scan(tmp_path, RTX_4090, lost)
    assert states(machine) == [("usable", None), ("unusable", reason)]
    assert machine.accelerators[1].compute_capability == "8.9"
    assert machine.accelerators[1].memory_total_bytes is None
    assert len(machine.usable_gpus()) == 1
    assert nvml_attempt(machine, "nvml: device 1")[1] == reason


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (4, ("blocked", "no_permission")),
        (8, ("unusable", "insufficient_power")),
        (11, ("unusable", "irq_issue")),
        (17, ("blocked", "blocked_by_system")),
        (999, ("unusable", "driver_unknown_error")),
    ],
)
def test_device_that_is_counted_but_refused_is_listed(
    tmp_path: Path, code: int, expected: tuple[str, str]
) -> None:
    machine = scan(
        tmp_path,
        RTX_4090,
        Error(code),
        files={**pci_card("0000:01:00.0"), **pci_card("0000:41:00.0", device="2204")},
        links={
            "/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia",
            "/sys/bus/pci/devices/0000:41:00.0/driver": "../../../bus/pci/drivers/nvidia",
        },
    )
    assert states(machine) == [("usable", None), expected]
    assert machine.accelerators[1].pci_address == "0000:41:00.0"
    assert machine.accelerators[1].pci_id == "10de:2204"


def test_card_that_the_driver_could_not_start_is_listed_from_the_bus(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        RTX_4090,
        files={**pci_card("0000:01:00.0"), **pci_card("0000:41:00.0")},
        links={"/sys/bus/pci/devices/0000:41:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    assert states(machine) == [("usable", None), ("unusable", "gpu_not_started")]


@pytest.mark.parametrize("getter", sorted(set(RTX_4090) - {"nvmlDeviceGetUUID"}))
@pytest.mark.parametrize("error", [3, 13, 999])
def test_one_failing_getter_never_drops_the_card(tmp_path: Path, getter: str, error: int) -> None:
    machine = scan(tmp_path, {**RTX_4090, getter: Error(error)}, at(RTX_4090, 0x41))
    assert len(machine.accelerators) == 2
    assert machine.accelerators[0].state is AcceleratorState.USABLE
    assert machine.accelerators[1].memory_total_bytes == 24564 * MIB


def test_getters_that_an_old_driver_lacks_have_older_names(tmp_path: Path) -> None:
    """R470: no second memory structure, no third process list, no event reasons."""
    old = {
        **RTX_4090,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x44,
        "nvmlDeviceGetComputeRunningProcesses_v2": Rows([{"pid": 7, "usedGpuMemory": 5 * MIB}]),
        "nvmlDeviceGetGraphicsRunningProcesses_v2": Rows([]),
    }
    machine = scan(
        tmp_path,
        old,
        driver="470.256.02",
        cuda=11040,
        missing=(
            "nvmlDeviceGetMemoryInfo_v2",
            "nvmlDeviceGetComputeRunningProcesses_v3",
            "nvmlDeviceGetGraphicsRunningProcesses_v3",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetNumaNodeId",
            "nvmlDeviceGetC2cModeInfoV",
        ),
    )
    (card,) = machine.accelerators
    assert card.state is AcceleratorState.USABLE
    assert (card.memory_total_bytes, card.memory_reserved_bytes) == (24564 * MIB, None)
    assert card.clock_reasons == ("sw_power_cap", "hw_thermal_slowdown")
    if hasattr(pynvml, "nvmlDeviceGetComputeRunningProcesses_v2"):  # the oldest bindings have only the third
        assert [process.pid for process in card.processes] == [7]
    assert machine.nvidia is not None
    assert machine.nvidia.cuda_driver_version == "11.4"


def test_cuda_version_is_unknown_where_the_compute_library_is_missing(tmp_path: Path) -> None:
    machine = scan(tmp_path, RTX_4090, cuda=Error(12))
    assert machine.nvidia is not None
    assert machine.nvidia.cuda_driver_version is None


def test_name_in_broken_bytes_does_not_drop_the_card(tmp_path: Path) -> None:
    machine = scan(tmp_path, {**RTX_4090, "nvmlDeviceGetName": b"\xff\xfe RTX"})
    assert machine.accelerators[0].memory_total_bytes == 24564 * MIB
