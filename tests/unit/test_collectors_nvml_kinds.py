"""Kinds of NVIDIA devices: shared memory, slices, virtual GPUs, driver models, limits that are set."""

from pathlib import Path

import pytest

from probe.collectors.nvml_device import architecture_name, is_integrated
from probe.machine import (
    AcceleratorKind,
    AcceleratorState,
    ForeignProcess,
    LinkKind,
    MigSlice,
)
from tests.fakes.hosts import on
from tests.fakes.nvml_cards import A100, GB10, GH200, MIB, P100, RTX_4090
from tests.fakes.nvml_library import Error, Rows
from tests.fakes.nvml_scan import scan, states

MEM_TOTAL = 131072000 * 1024
MEM_AVAILABLE = 120000000 * 1024


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
