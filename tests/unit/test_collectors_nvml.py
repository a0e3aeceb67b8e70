"""Every NVML row of the pitfalls table, through the real bindings and the whole scan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pynvml
import pytest

from probe.collectors.nvml_device import architecture_name, is_integrated
from probe.collectors.run import scan_machine
from probe.machine import (
    AcceleratorKind,
    AcceleratorState,
    AttemptResult,
    ForeignProcess,
    LinkKind,
    Machine,
    MigSlice,
)
from tests.fakes.hosts import TreeHost, on, pci_card
from tests.fakes.nvml_cards import A100, GB10, GH200, MIB, P100, RTX_4090, at, nvswitch_links
from tests.fakes.nvml_library import ByArgument, Error, FakeNvmlLibrary, Rows, field_value, installed

GIB = 1024**3
MEM_TOTAL = 131072000 * 1024
MEM_AVAILABLE = 120000000 * 1024


def scan(
    tmp_path: Path,
    *devices: Mapping[str, Any] | Error,
    files: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    platform: Any = None,
    **library: Any,
) -> Machine:
    """The machine whose NVML answers like this."""
    host = TreeHost(
        tmp_path, files, links=links, variables=variables, **({"platform": platform} if platform else {})
    )
    with installed(FakeNvmlLibrary(*devices, **library)):
        return scan_machine(host)


def states(machine: Machine) -> list[tuple[str, str | None]]:
    return [(device.state.value, device.state_reason) for device in machine.accelerators]


def nvml_attempt(machine: Machine, source: str = "nvml") -> tuple[AttemptResult, str | None, str | None]:
    attempt = next(attempt for attempt in machine.attempts if attempt.source == source)
    return attempt.result, attempt.code, attempt.detail


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


@pytest.mark.parametrize(
    "memory",
    [
        pytest.param(Error(3), id="not supported, as most drivers answer"),
        pytest.param({"total": 0, "free": 0}, id="zero"),
        pytest.param({"total": MEM_TOTAL, "free": 1}, id="all of RAM, as one report says"),
    ],
)
def test_gb10_has_one_pool_that_is_ram(tmp_path: Path, memory: object) -> None:
    """DGX Spark: free is MemAvailable, PCIe rows are hidden, memory is never added to RAM."""
    gb10 = {**GB10, "nvmlDeviceGetMemoryInfo_v2": memory, "nvmlDeviceGetMemoryInfo": memory}
    machine = scan(tmp_path, gb10, platform=on(architecture="aarch64"))
    (gpu,) = machine.accelerators
    assert (gpu.kind, gpu.state, gpu.memory_shared) == (
        AcceleratorKind.UNIFIED,
        AcceleratorState.USABLE,
        True,
    )
    assert (gpu.memory_total_bytes, gpu.memory_free_bytes) == (MEM_TOTAL, MEM_AVAILABLE)
    assert gpu.pcie is None
    assert gpu.bandwidth_bytes_per_s is None
    assert (gpu.architecture, gpu.compute_capability) == ("Blackwell", "12.1")
    assert machine.links == ()
    assert machine.provenance["/accelerators/0/memory_total_bytes"].source == "/proc/meminfo"


def test_discrete_card_that_does_not_tell_its_memory_keeps_it_unknown(tmp_path: Path) -> None:
    silent = {
        **RTX_4090,
        "nvmlDeviceGetMemoryInfo_v2": Error(3),
        "nvmlDeviceGetMemoryInfo": Error(3),
    }
    (card,) = scan(tmp_path, silent).accelerators
    assert (card.kind, card.memory_total_bytes, card.memory_shared) == (AcceleratorKind.DISCRETE, None, False)
    assert card.state is AcceleratorState.USABLE


@pytest.mark.parametrize("name", ["NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Thor", "Xavier (nvgpu)", "Tegra X2"])
def test_names_of_gpus_inside_the_processor(name: str) -> None:
    assert is_integrated(name)


@pytest.mark.parametrize(
    "name",
    ["NVIDIA GB200", "NVIDIA GH200 480GB", "NVIDIA GeForce RTX 4090", "NVIDIA GB202", "Tesla P100-PCIE-16GB"],
)
def test_names_of_cards_with_memory_of_their_own(name: str) -> None:
    assert not is_integrated(name)


def test_jetson_with_nvml(tmp_path: Path) -> None:
    orin = {
        "nvmlDeviceGetName": "Orin (nvgpu)",
        "nvmlDeviceGetCudaComputeCapability": (8, 7),
        "nvmlDeviceGetArchitecture": 7,
    }
    machine = scan(
        tmp_path,
        orin,
        files={"/proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0"},
        platform=on(architecture="aarch64"),
    )
    (gpu,) = machine.accelerators
    assert (gpu.kind, gpu.memory_total_bytes) == (AcceleratorKind.UNIFIED, MEM_TOTAL)


def test_jetson_before_nvml_is_found_by_its_device_tree(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        init=12,
        files={
            "/proc/device-tree/compatible": "nvidia,p3509-0000+p3668-0000\0nvidia,tegra194\0",
            "/proc/device-tree/model": "NVIDIA Jetson Xavier NX Developer Kit\0",
            "/dev/nvhost-gpu": "",
        },
        platform=on(architecture="aarch64"),
    )
    (gpu,) = machine.accelerators
    assert gpu.name == "NVIDIA Jetson Xavier NX Developer Kit"
    assert (gpu.kind, gpu.state) == (AcceleratorKind.UNIFIED, AcceleratorState.USABLE)
    assert gpu.memory_total_bytes == MEM_TOTAL


def test_gh200_memory_is_its_own_and_not_counted_in_ram(tmp_path: Path) -> None:
    """The kernel counts the HBM as a node without processors; the name's 480GB is the LPDDR."""
    nodes = "/sys/devices/system/node"
    hbm_kib = 97 * 1024 * 1024
    files = {
        f"{nodes}/node0/cpulist": "0-71\n",
        f"{nodes}/node0/meminfo": "Node 0 MemTotal:       500000000 kB\n",
        f"{nodes}/node1/cpulist": "\n",
        f"{nodes}/node1/meminfo": f"Node 1 MemTotal:       {hbm_kib} kB\n",
        f"{nodes}/node2/cpulist": "\n",
        f"{nodes}/node2/meminfo": "Node 2 MemTotal:       0 kB\n",
        "/proc/meminfo": f"MemTotal: {500000000 + hbm_kib} kB\nMemAvailable: {490000000 + hbm_kib} kB\n",
    }
    machine = scan(tmp_path, GH200, files=files, platform=on(architecture="aarch64"))
    (gpu,) = machine.accelerators
    assert (gpu.kind, gpu.memory_shared) == (AcceleratorKind.UNIFIED, False)
    assert gpu.memory_total_bytes == 97871 * MIB
    assert machine.memory.total_bytes == 500000000 * 1024
    assert machine.memory.available_bytes == 490000000 * 1024
    assert [(link.a, link.b, link.kind) for link in machine.links] == [("cpu", "gpu0", LinkKind.C2C)]


def test_mig_card_lists_its_slices_and_empty_places_are_no_slices(tmp_path: Path) -> None:
    """Without privilege the parent's memory is refused; the slices still answer."""
    piece = {
        "nvmlDeviceGetName": "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
        "nvmlDeviceGetMemoryInfo_v2": {"total": 19968 * MIB, "free": 19900 * MIB, "reserved": 0},
        "nvmlDeviceGetUUID": "MIG-cccccccc-2222-3333-4444-555555555555",
    }
    parent = {
        **A100,
        "nvmlDeviceGetMigMode": (1, 1),
        "nvmlDeviceGetMaxMigDeviceCount": 7,
        "nvmlDeviceGetMemoryInfo_v2": Error(4),
        "nvmlDeviceGetMemoryInfo": Error(4),
        "mig": {1: piece},
    }
    (card,) = scan(tmp_path, parent).accelerators
    assert card.mig_enabled is True
    assert card.state is AcceleratorState.USABLE
    assert card.memory_total_bytes is None
    assert card.mig_slices == (
        MigSlice(
            index=1,
            name="NVIDIA A100-SXM4-40GB MIG 3g.20gb",
            memory_total_bytes=19968 * MIB,
            memory_free_bytes=19900 * MIB,
        ),
    )


def test_mig_mode_without_slices_means_no_cuda(tmp_path: Path) -> None:
    empty = {**A100, "nvmlDeviceGetMigMode": (1, 1), "nvmlDeviceGetMaxMigDeviceCount": 7}
    assert states(scan(tmp_path, empty)) == [("blocked", "mig_without_slices")]


def test_vgpu_guest_is_named_and_keeps_its_profile_size(tmp_path: Path) -> None:
    guest = {
        "nvmlDeviceGetName": "NVIDIA A40-12Q",
        "nvmlDeviceGetVirtualizationMode": 2,
        "nvmlDeviceGetMemoryInfo_v2": {"total": 12288 * MIB, "free": 11000 * MIB, "reserved": 0},
    }
    (card,) = scan(tmp_path, guest).accelerators
    assert (card.virtualization, card.memory_total_bytes) == ("vgpu", 12288 * MIB)
    assert card.bandwidth_bytes_per_s is None


def test_compute_mode_prohibited_blocks_the_card(tmp_path: Path) -> None:
    machine = scan(tmp_path, {**RTX_4090, "nvmlDeviceGetComputeMode": 2})
    assert states(machine) == [("blocked", "compute_mode_prohibited")]


def test_exclusive_process_is_told_but_usable(tmp_path: Path) -> None:
    (card,) = scan(tmp_path, {**RTX_4090, "nvmlDeviceGetComputeMode": 3}).accelerators
    assert (card.compute_mode, card.state) == ("exclusive_process", AcceleratorState.USABLE)


def test_power_cap_ecc_and_thermal_slowdown_are_told(tmp_path: Path) -> None:
    hot = {
        **P100,
        "nvmlDeviceGetPowerManagementLimit": 150000,
        "nvmlDeviceGetCurrentClocksEventReasons": 0x4 | 0x20 | 0x4000,
    }
    (card,) = scan(tmp_path, hot).accelerators
    assert (card.power_limit_w, card.power_limit_default_w, card.ecc_enabled) == (150, 250, True)
    assert card.clock_reasons == ("sw_power_cap", "sw_thermal_slowdown", "0x4000")


def test_windows_driver_model_and_processes_without_figures(tmp_path: Path) -> None:
    """WDDM hides what each process holds: the bindings' special value means unknown."""
    card = {
        **RTX_4090,
        "nvmlDeviceGetDriverModel_v2": (0, 0),
        "nvmlDeviceGetDriverModel": (0, 0),
        "nvmlDeviceGetComputeRunningProcesses_v3": Rows([{"pid": 44, "usedGpuMemory": 2**64 - 1}]),
        "nvmlDeviceGetGraphicsRunningProcesses_v3": Rows([]),
    }
    (found,) = scan(tmp_path, card, platform=on(system="windows")).accelerators
    assert found.driver_model == "wddm"
    assert found.processes == (ForeignProcess(pid=44, name=None, memory_bytes=None),)


@pytest.mark.parametrize(("model", "name"), [(0, "wddm"), (1, "tcc"), (2, "mcdm")])
def test_driver_models(tmp_path: Path, model: int, name: str) -> None:
    card = {
        **RTX_4090,
        "nvmlDeviceGetDriverModel_v2": (model, model),
        "nvmlDeviceGetDriverModel": (model, model),  # the older bindings' name
    }
    assert scan(tmp_path, card, platform=on(system="windows")).accelerators[0].driver_model == name


def test_newer_architecture_number_does_not_crash(tmp_path: Path) -> None:
    future = {**RTX_4090, "nvmlDeviceGetArchitecture": 40, "nvmlDeviceGetCudaComputeCapability": (31, 0)}
    (card,) = scan(tmp_path, future).accelerators
    assert (card.architecture, card.compute_capability) == (None, "31.0")


@pytest.mark.parametrize(
    ("number", "capability", "name"),
    [(9, "9.0", "Hopper"), (None, "7.5", "Turing"), (None, "7.0", "Volta"), (None, "12.0", "Blackwell")],
)
def test_architecture_by_number_else_by_capability(number: int | None, capability: str, name: str) -> None:
    assert architecture_name(number, capability) == name


def test_wsl_access_blocked_is_windows_doing(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        init=17,
        files={"/proc/version": "Linux version 5.15.167.4-microsoft-standard-WSL2 (gcc)", "/dev/dxg": ""},
        platform=on(kernel="5.15.167.4-microsoft-standard-WSL2"),
    )
    assert machine.host.os.wsl == 2
    assert nvml_attempt(machine)[1] == "wsl_access_blocked"


def test_container_without_the_nvidia_runtime(tmp_path: Path) -> None:
    """The bus shows the host's card to every container."""
    machine = scan(
        tmp_path,
        init=12,
        files={**pci_card("0000:01:00.0"), "/.dockerenv": ""},
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    assert states(machine) == [("blocked", "container_without_gpu")]


def test_container_that_was_given_one_of_two_cards(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        RTX_4090,
        files={
            **pci_card("0000:01:00.0"),
            **pci_card("0000:41:00.0"),
            "/.dockerenv": "",
            "/dev/nvidia0": "",
            "/dev/nvidiactl": "",
        },
        links={
            "/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia",
            "/sys/bus/pci/devices/0000:41:00.0/driver": "../../../bus/pci/drivers/nvidia",
        },
    )
    assert states(machine) == [("usable", None), ("blocked", "container_without_gpu")]


def test_nvml_finds_cards_where_neither_bus_nor_device_files_show_them(tmp_path: Path) -> None:
    """WSL and many containers."""
    assert states(scan(tmp_path, RTX_4090)) == [("usable", None)]


def test_two_cards_without_nvlink_share_the_bus(tmp_path: Path) -> None:
    peers = {"nvmlDeviceGetTopologyCommonAncestor": lambda _, level: _set(level, 50)}
    p2p = {"nvmlDeviceGetP2PStatus": lambda _other, _index, status: _set(status, 2)}
    cards = [{**at(P100, bus), **peers, **p2p} for bus in (4, 0x84)]
    machine = scan(tmp_path, *cards)
    (pair,) = [link for link in machine.links if link.a != "cpu"]
    assert (pair.a, pair.b, pair.kind, pair.topology) == ("gpu0", "gpu1", LinkKind.PCIE, "sys")
    assert (pair.peer_access, pair.generation, pair.lanes) == (False, 3, 16)


def test_nvlinks_to_switches_reach_every_card(tmp_path: Path) -> None:
    """The H100 was seen to call its links 5.0: the chip's own generation counts."""
    h100 = {
        **A100,
        **nvswitch_links(18),
        "nvmlDeviceGetArchitecture": 9,
        "nvmlDeviceGetFieldValues": field_value(90, 26562),
        "nvmlDeviceGetP2PStatus": lambda _other, _index, status: _set(status, 0),
    }
    machine = scan(tmp_path, *(at(h100, bus) for bus in (1, 2, 3)))
    pairs = [link for link in machine.links if link.a != "cpu"]
    assert len(pairs) == 3
    for pair in pairs:
        assert (pair.kind, pair.lanes, pair.generation, pair.peer_access) == (LinkKind.NVLINK, 18, 4, True)
        assert pair.bytes_per_s == pytest.approx(18 * 26562e6)


def test_direct_nvlinks_are_counted_for_their_pair_only(tmp_path: Path) -> None:
    """Three cards, one bridge: links lead to the neighbour's address."""

    def bridged(bus: int, neighbour: int) -> dict[str, Any]:
        links = dict.fromkeys(range(4), 1)
        return {
            **at(A100, bus),
            "nvmlDeviceGetNvLinkState": ByArgument(links),
            "nvmlDeviceGetNvLinkVersion": ByArgument(dict.fromkeys(links, 4)),
            "nvmlDeviceGetNvLinkRemoteDeviceType": ByArgument(dict.fromkeys(links, 0)),
            "nvmlDeviceGetNvLinkRemotePciInfo_v2": ByArgument(
                {link: {"busId": f"00000000:{neighbour:02X}:00.0".encode()} for link in links}
            ),
        }

    machine = scan(tmp_path, bridged(1, 2), bridged(2, 1), at(A100, 3))
    kinds = {(link.a, link.b): (link.kind, link.lanes) for link in machine.links if link.a != "cpu"}
    assert kinds == {
        ("gpu0", "gpu1"): (LinkKind.NVLINK, 4),
        ("gpu0", "gpu2"): (LinkKind.PCIE, 16),
        ("gpu1", "gpu2"): (LinkKind.PCIE, 16),
    }


def test_inactive_nvlinks_do_not_count(tmp_path: Path) -> None:
    """A link that is down answers 0, a place without link an error in the middle of the row."""
    card = {**A100, **nvswitch_links(12)}
    card["nvmlDeviceGetNvLinkState"] = ByArgument({0: 1, 1: 0, 2: Error(999), 3: 1})
    machine = scan(tmp_path, at(card, 1), at(card, 2))
    (pair,) = [link for link in machine.links if link.a != "cpu"]
    assert (pair.kind, pair.lanes) == (LinkKind.NVLINK, 2)


def test_adapters_that_show_pictures_are_no_gpus(tmp_path: Path) -> None:
    """Server management, virtual machines, and NVIDIA's own audio function."""
    files: dict[str, str] = {}
    for number, vendor in enumerate(("1a03", "102b", "1414", "15ad", "1af4", "1b36", "1234", "80ee")):
        files |= pci_card(f"0000:{number:02x}:00.0", vendor=vendor, device="1111")
    files |= pci_card("0000:20:00.1", class_code="040300")
    assert scan(tmp_path, init=12, files=files).accelerators == ()


@pytest.mark.parametrize(("neighbour", "kind"), [("1022", "integrated"), ("1002", "discrete")])
def test_graphics_of_an_amd_processor_share_its_slot(tmp_path: Path, neighbour: str, kind: str) -> None:
    files = {
        **pci_card("0000:6c:00.0", vendor="1002", device="164e"),
        **pci_card("0000:6c:00.2", vendor=neighbour, device="1649", class_code="108000"),
    }
    (gpu,) = scan(tmp_path, init=12, files=files).accelerators
    assert (gpu.vendor, gpu.kind.value, gpu.memory_shared) == ("amd", kind, kind == "integrated")


def test_card_whose_address_nvml_does_not_tell_is_not_listed_twice(tmp_path: Path) -> None:
    silent = {**RTX_4090, "nvmlDeviceGetPciInfo_v3": Error(3)}
    machine = scan(
        tmp_path,
        silent,
        files=pci_card("0000:01:00.0"),
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    (card,) = machine.accelerators
    assert (card.name, card.pci_address, card.pci_id) == (
        "NVIDIA GeForce RTX 4090",
        "0000:01:00.0",
        "10de:2684",
    )
    assert card.state is AcceleratorState.USABLE


def test_one_card_known_to_bus_and_nvml_is_one_row(tmp_path: Path) -> None:
    machine = scan(tmp_path, RTX_4090, files=pci_card("0000:01:00.0"))
    assert [card.name for card in machine.accelerators] == ["NVIDIA GeForce RTX 4090"]


def test_different_cards_stay_different(tmp_path: Path) -> None:
    machine = scan(tmp_path, RTX_4090, at(P100, 4), at(P100, 5))
    assert [card.name for card in machine.accelerators] == [
        "NVIDIA GeForce RTX 4090",
        "Tesla P100-PCIE-12GB",
        "Tesla P100-PCIE-12GB",
    ]
    assert [card.index for card in machine.accelerators] == [0, 1, 2]


def _set(place: Any, value: int) -> int:
    place._obj.value = value
    return 0
