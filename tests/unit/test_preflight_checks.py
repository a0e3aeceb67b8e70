"""Each check of a server before an engine is installed: what was seen, how it is judged, what to do.

The answers stand on the installation pages of vLLM 0.33.0, NVIDIA's driver manual (open and
proprietary modules, Fabric Manager, Xid catalog) and the limits in catalogs/engines/preflight.json.
"""

from typing import Any

import msgspec
import pytest

from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.machine import (
    AcceleratorState,
    Disk,
    ForeignProcess,
    Host,
    Link,
    LinkKind,
    Machine,
    NvidiaDriver,
    OperatingSystem,
    OsFamily,
    PcieLink,
)
from probe.machine.accelerator import MigSlice
from probe.machine.server import UNLIMITED, ServerFacts
from probe.machine.system import Memory
from probe.recommender.preflight.judge import Verdict, preflight
from probe.recommender.preflight.situation import Ask, Check, Result
from probe.units import GIB, MIB

PASS, WARN, FAIL, INFO, UNKNOWN = Result.PASS, Result.WARN, Result.FAIL, Result.INFO, Result.UNKNOWN
ONE, TWO = "RTX 4090", "2x A100 PCIe 80GB"
LOST = {"state": AcceleratorState.UNUSABLE, "state_reason": None}


def _machine(
    spec: str = ONE, *gpus: dict[str, Any], host: dict[str, Any] | None = None, **parts: Any
) -> Machine:
    """A Linux server; the n-th dictionary changes the n-th GPU, the last one all that follow."""
    machine = from_spec(spec)
    changes = gpus or ({},)
    devices = tuple(
        msgspec.structs.replace(device, **changes[min(number, len(changes) - 1)])
        for number, device in enumerate(machine.accelerators)
    )
    system = {"family": OsFamily.LINUX, "name": "Ubuntu", "glibc": "2.39", **(host or {})}
    return msgspec.structs.replace(
        machine,
        host=Host(os=OperatingSystem(**system), python="3.12.3", name="server"),
        accelerators=devices,
        nvidia=NvidiaDriver(driver_version="580.95.05"),
        **parts,
    )


def _check(name: str, machine: Machine, facts: ServerFacts | None = None, **ask: Any) -> Check | None:
    made = preflight(machine, Ask(**ask), facts)
    return next((check for check in made.checks if check.id == name), None)


def _software(**variables: str) -> dict[str, Any]:
    return {"software": msgspec.structs.replace(from_spec(ONE).software, environment=variables)}


def _pair(kind: LinkKind, peer: bool | None = None) -> dict[str, Any]:
    return {"links": (Link(a="gpu0", b="gpu1", kind=kind, peer_access=peer),)}


def _versions(module: str | None, library: str | None) -> Machine:
    driver = NvidiaDriver(driver_version="580.95.05", kernel_module_version=module, library_version=library)
    return msgspec.structs.replace(_machine(), nvidia=driver)


DRIVER = [
    ("driver_mismatch", _versions("580.95.05", "580.95.05"), None, PASS, "580.95.05", None),
    ("driver_mismatch", _versions("570.124.06", "580.95.05"), None, WARN, "570.124.06 / 580.95.05", "fix"),
    ("driver_mismatch", _machine(ONE, LOST), None, UNKNOWN, None, None),
    ("nouveau", _machine(ONE, LOST), ServerFacts(modules=("nouveau",)), FAIL, "nouveau", "fix"),
    ("nouveau", _machine(ONE, LOST), ServerFacts(modules=("nova_core",)), FAIL, "nova_core", "fix"),
    ("nouveau", _machine(ONE, LOST), ServerFacts(modules=("nouveau", "nvidia")), PASS, "-", None),
    ("nouveau", _machine(ONE, LOST), None, UNKNOWN, None, None),
    ("nvidia_module", _machine(ONE, {**LOST, "state_reason": "module_not_loaded"}), None, FAIL, "-", "fix"),
    ("nvidia_module", _machine(host={"wsl": 2}), None, PASS, "dxgkrnl", None),
    ("nvidia_module", _machine(), ServerFacts(modules=("nvidia",)), WARN, "nvidia", "fix_uvm"),
    ("nvidia_module", _machine(), ServerFacts(modules=("nvidia", "nvidia_uvm")), PASS, "nvidia", None),
    ("nvidia_module", _machine(ONE, LOST), None, UNKNOWN, None, None),
    ("secure_boot", _machine(ONE, LOST), ServerFacts(secure_boot=True), WARN, "on", "fix"),
    ("secure_boot", _machine(), ServerFacts(secure_boot=True), PASS, "on", None),
    ("secure_boot", _machine(), ServerFacts(secure_boot=False), PASS, "off", None),
    ("secure_boot", _machine(), ServerFacts(), UNKNOWN, None, None),
    # The open module begins with Turing: a V100 (7.0) is never driven by it.
    ("kernel_module_type", _machine("Tesla V100 PCIe 32GB", LOST), ServerFacts(kernel_module_open=True),
     FAIL, "open", "fix"),
    ("kernel_module_type", _machine("Tesla T4", LOST), ServerFacts(kernel_module_open=True), PASS, "open",
     None),
    ("kernel_module_type", _machine(), ServerFacts(kernel_module_open=False), PASS, "proprietary", None),
    ("kernel_module_type", _machine(ONE, LOST), ServerFacts(), UNKNOWN, None, None),
    ("fabric_manager", _machine(TWO, {"state_reason": "fabric_manager_missing"}), None, FAIL, "-", "fix"),
    ("fabric_manager", _machine(TWO), ServerFacts(nvswitch=False), PASS, "-", None),
    ("fabric_manager", _machine(TWO), ServerFacts(nvswitch=True), UNKNOWN, None, None),
    ("fabric_manager", _machine(TWO), ServerFacts(nvswitch=True, fabric_manager=True), PASS,
     "nvidia-fabricmanager", None),
    ("env_cuda", _machine(**_software(CUDA_VISIBLE_DEVICES="")), None, WARN, "CUDA_VISIBLE_DEVICES=",
     "fix_mask"),
    ("env_cuda", _machine(**_software(CUDA_VISIBLE_DEVICES="0")), None, PASS, "CUDA_VISIBLE_DEVICES=0", None),
    ("env_cuda", _machine(), ServerFacts(library_path="/usr/local/cuda-11.8/lib64"), WARN, "LD_LIBRARY_PATH",
     "fix_library"),
    ("env_cuda", _machine(), ServerFacts(), PASS, "-", None),
]  # fmt: skip

GPUS = [
    ("compute_capability", _machine(ONE, {"compute_capability": None}), None, UNKNOWN, None, None),
    ("compute_capability", _machine("RTX 4090; GTX 1080 Ti"), None, WARN, "6.1, 8.9", "fix_hide"),
    ("mixed_gpus", _machine(TWO), None, PASS, "NVIDIA A100 80GB PCIe", None),
    ("mixed_gpus", _machine("RTX 4090; RTX 3090"), None, WARN,
     "NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 4090", "fix"),
    ("dtype_bf16", _machine(ONE, {"compute_capability": None}), None, UNKNOWN, None, None),
    ("dtype_bf16", _machine("Tesla T4"), None, WARN, "7.5", "fix"),
    ("vram_total", _machine(ONE, {"memory_total_bytes": None}), None, UNKNOWN, None, None),
    ("vram_free", _machine(ONE, {"memory_free_bytes": None}), None, UNKNOWN, None, None),
    ("foreign_processes", _machine(ONE, {"memory_free_bytes": None}), None, UNKNOWN, None, None),
    ("foreign_processes",
     _machine(ONE, {"processes": (ForeignProcess(pid=7, name="python", memory_bytes=4 * GIB),)}), None,
     WARN, "python (7)", "fix"),
    ("display_active", _machine(ONE, {"processes": (ForeignProcess(pid=3, name="Xorg"),)}), None, WARN,
     "xorg",
     "fix"),
    ("display_active", _machine(ONE, {"driver_model": "wddm"}), None, WARN, "WDDM", "fix"),
    ("display_active", _machine(host={"desktop": False}), None, PASS, "-", None),
    ("display_active", _machine(), None, UNKNOWN, None, None),
    ("ecc", _machine(TWO, {}, {"state_reason": "reset_required"}), None, FAIL, "reset required", "fix"),
    ("ecc", _machine(TWO, {"ecc_enabled": True}), None, INFO, "on", "fix_on"),
    ("ecc", _machine(TWO, {"ecc_enabled": False}), None, PASS, "off", None),
    ("xid", _machine(), ServerFacts(xids=()), PASS, "-", None),
    # 79: fallen off the bus; 43: a program's own fault.
    ("xid", _machine(), ServerFacts(xids=(43, 79)), FAIL, "Xid 43, Xid 79", "fix"),
    ("xid", _machine(), ServerFacts(xids=(43,)), WARN, "Xid 43", "fix"),
    ("mig", _machine(TWO, {"mig_enabled": False}), None, PASS, "off", None),
    ("mig", _machine(TWO, {"mig_enabled": True, "mig_slices": (MigSlice(index=0, name="1g.10gb"),)}), None,
     WARN, "1g.10gb, 1g.10gb", "fix"),
    ("compute_mode", _machine(ONE, LOST), None, UNKNOWN, None, None),
    ("compute_mode", _machine(ONE, {"compute_mode": "default"}), None, PASS, "default", None),
    ("persistence", _machine(ONE, {"persistence_mode": False}), None, WARN, "off", "fix"),
    ("persistence", _machine(ONE, {"persistence_mode": True}), None, PASS, "on", None),
    ("persistence", _machine(), None, UNKNOWN, None, None),
    ("power_cap", _machine(ONE, {"power_limit_w": 300.0, "power_limit_default_w": 450.0}), None, WARN,
     "300 W / 450 W", "fix"),
    ("power_cap", _machine(ONE, {"power_limit_w": 450.0, "power_limit_default_w": 450.0}), None, PASS,
     "450 W / 450 W", None),
    ("thermals", _machine(ONE, {"clock_reasons": ("sw_power_cap", "hw_thermal_slowdown")}), None, WARN,
     "hw_thermal_slowdown, sw_power_cap", "fix"),
    ("thermals", _machine(ONE, {"power_limit_w": 450.0, "clock_reasons": ("idle",)}), None, PASS, "idle",
     None),
    ("bar1_vgpu", _machine(ONE, {"virtualization": "vgpu"}), None, WARN, "vgpu", "fix"),
    ("bar1_vgpu", _machine(ONE, {"virtualization": "none"}), None, PASS, "none", None),
]  # fmt: skip

LINKS = [
    ("nvlink", _machine(TWO), None, UNKNOWN, None, None),
    ("nvlink", _machine(TWO, **_pair(LinkKind.NVLINK)), None, PASS, "NVLink", None),
    ("nvlink", _machine(TWO, **_pair(LinkKind.PCIE)), None, INFO, "PCIe", "fix"),
    ("p2p", _machine(TWO, **_pair(LinkKind.PCIE, peer=False)), None, WARN, "-", "fix"),
    ("p2p", _machine(TWO, **_pair(LinkKind.PCIE, peer=True)), None, PASS, "P2P", None),
    ("pcie_link", _machine(ONE, {"pcie": None}), None, UNKNOWN, None, None),
    ("pcie_link", _machine(ONE, {"pcie": PcieLink(generation=1, width=16, max_generation=4, max_width=16)}),
     None,
     PASS, "PCIe 4 x16", None),
    ("pcie_link", _machine(ONE, {"pcie": PcieLink(width=4, max_generation=4, max_width=16)}), None, WARN,
     "PCIe 4 x4", "fix"),
    ("pcie_link", _machine(ONE, {"pcie": PcieLink(max_generation=2, max_width=16)}), None, WARN, "PCIe 2 x16",
     "fix"),
    ("topology_advice", _machine(TWO, **_pair(LinkKind.NVLINK)), None, INFO, "2", "fix_nvlink"),
    ("topology_advice", _machine(TWO, **_pair(LinkKind.PCIE)), None, INFO, "2", "fix_two"),
    ("topology_advice", _machine("4x RTX 4090", **_pair(LinkKind.PCIE)), None, INFO, "4", "fix_pipeline"),
    ("numa", _machine(TWO), None, UNKNOWN, None, None),
    ("numa", _machine(TWO, {"numa_node": 0}, {"numa_node": 1}), None, WARN, "gpu0: 0, gpu1: 1", "fix"),
    ("numa", _machine(TWO, {"numa_node": 0}), None, PASS, "gpu0: 0, gpu1: 0", None),
    ("iommu_acs", _machine(TWO), ServerFacts(iommu="translated"), WARN, "translated", "fix"),
    ("iommu_acs", _machine(TWO), ServerFacts(iommu="passthrough"), PASS, "passthrough", None),
    ("nccl", _machine(TWO), ServerFacts(interfaces=("eth0", "docker0")), WARN, "eth0, docker0", "fix"),
    ("nccl", _machine(TWO), ServerFacts(interfaces=("eth0",)), PASS, "eth0", None),
]  # fmt: skip


def _disk(**values: Any) -> dict[str, Any]:
    return {"disks": (Disk(path="/home/user", purpose="home", **values),)}


def _memory(**values: int) -> dict[str, Any]:
    return {"memory": Memory(**values)}


HOST = [
    ("ram_total", _machine(**_memory()), None, UNKNOWN, None, None),
    ("ram_total", _machine(**_memory(total_bytes=64 * GIB, available_bytes=4 * GIB)), None, FAIL,
     "4.0 GiB / 64.0 GiB", "fix"),
    ("ram_total", _machine(**_memory(total_bytes=12 * GIB, available_bytes=10 * GIB)), None, WARN,
     "10.0 GiB / 12.0 GiB", "fix"),
    # 16 GB as sold: firmware and kernel keep a part.
    ("ram_total", _machine(**_memory(total_bytes=15 * GIB, available_bytes=12 * GIB)), None, PASS,
     "12.0 GiB / 15.0 GiB", None),
    ("swap_cgroup", _machine(**_memory(total_bytes=64 * GIB, limit_bytes=4 * GIB)), None, WARN, "4.0 GiB",
     "fix"),
    ("swap_cgroup", _machine(**_memory(total_bytes=64 * GIB, limit_bytes=32 * GIB)), None, PASS, "32.0 GiB",
     None),
    ("shm", _machine(), None, UNKNOWN, None, None),
    ("disk_fs", _machine(**_disk(kind="network")), None, WARN, "network", "fix"),
    ("disk_fs", _machine(**_disk(kind="nvme")), None, PASS, "nvme", None),
    ("ulimit_memlock", _machine(TWO, host={"container": "docker"}), ServerFacts(memlock_bytes=64 * MIB), WARN,
     "65536 KiB", "fix"),
    ("ulimit_memlock", _machine(TWO, host={"container": "docker"}), ServerFacts(memlock_bytes=UNLIMITED),
     PASS,
     "unlimited", None),
    ("ulimit_memlock", _machine(), ServerFacts(memlock_bytes=64 * MIB), PASS, "65536 KiB", None),
    ("ulimit_nofile", _machine(), ServerFacts(open_files=1024), WARN, "1024", "fix"),
    ("ulimit_nofile", _machine(), ServerFacts(open_files=UNLIMITED), PASS, "unlimited", None),
    ("ulimit_nproc", _machine(), ServerFacts(processes=96_365), PASS, "96365", None),
    ("docker", _machine(), ServerFacts(container_runtimes=("docker",), container_toolkit=False), WARN,
     "docker",
     "fix"),
    ("docker", _machine(), ServerFacts(container_runtimes=("docker",), container_toolkit=True), PASS,
     "docker",
     None),
    ("docker", _machine(), ServerFacts(container_runtimes=()), PASS, "-", None),
    ("port_8000", _machine(), ServerFacts(port_used=True), WARN, "8000", "fix"),
    ("port_8000", _machine(), ServerFacts(port_used=False), PASS, "8000", None),
    ("firewall", _machine(), ServerFacts(firewall="ufw"), INFO, "ufw", "fix"),
    ("hf_home", _machine(), ServerFacts(hub_offline=True), WARN, "HF_HUB_OFFLINE=1", "fix"),
    ("hf_home", _machine(), ServerFacts(hub_offline=False, hub_token=True), PASS, "HF_TOKEN", None),
    ("proxy", _machine(), ServerFacts(proxy=True, no_proxy_local=False), WARN, "HTTP(S)_PROXY", "fix"),
    ("proxy", _machine(), ServerFacts(proxy=True, no_proxy_local=True), PASS, "HTTP(S)_PROXY", None),
    ("proxy", _machine(), ServerFacts(proxy=False), PASS, "-", None),
    ("existing_vllm", _machine(), ServerFacts(packages={"vllm": "0.12.0"}), INFO, "vllm 0.12.0", "fix"),
    ("existing_vllm", _machine(), ServerFacts(), PASS, "-", None),
    ("venv_clean", _machine(), ServerFacts(), PASS, "-", None),
    ("venv_clean", _machine(), ServerFacts(packages={"torch": "2.1.0+cu118"}), WARN, "torch 2.1.0+cu118",
     "fix"),
    ("glibc", _machine(host={"name": "Alpine Linux", "glibc": None}), None, FAIL, "musl", "fix"),
]  # fmt: skip

ROWS = [*DRIVER, *GPUS, *LINKS, *HOST]


@pytest.mark.parametrize(
    ("name", "machine", "facts", "result", "observed", "fix"),
    ROWS,
    ids=[f"{row[0]}-{row[3].value}-{number}" for number, row in enumerate(ROWS)],
)
def test_check_says_what_it_saw_and_what_to_do(  # noqa: PLR0917 - one argument a column
    name: str,
    machine: Machine,
    facts: ServerFacts | None,
    result: Result,
    observed: str | None,
    fix: str | None,
) -> None:
    found = _check(name, machine, facts)
    assert found is not None
    assert (found.result, found.observed, found.fix) == (result, observed, fix)


def test_installed_torch_of_the_wanted_release_is_no_trouble() -> None:
    """The local version (+cu130) says only for which CUDA it was built."""
    machine = _machine()
    release = preflight(machine, Ask()).release
    assert release is not None
    found = _check("venv_clean", machine, ServerFacts(packages={"torch": f"{release.torch}+cu130"}))
    assert found is not None and found.result is PASS


@pytest.mark.parametrize(
    ("name", "spec"),
    [("mixed_gpus", ONE), ("nvlink", ONE), ("p2p", ONE), ("topology_advice", ONE), ("numa", ONE),
     ("iommu_acs", ONE), ("nccl", ONE), ("fabric_manager", ONE), ("unified_memory", ONE)],
)  # fmt: skip
def test_checks_of_several_gpus_say_nothing_about_one(name: str, spec: str) -> None:
    assert _check(name, _machine(spec), ServerFacts()) is None


@pytest.mark.parametrize(
    "name", ["shm", "ulimit_nofile", "ulimit_memlock", "docker", "swap_cgroup", "secure_boot"]
)
def test_checks_of_linux_say_nothing_about_windows(name: str) -> None:
    assert _check(name, _machine(host={"family": OsFamily.WINDOWS}), ServerFacts()) is None


def test_model_on_a_gpu_of_unknown_generation_is_left_open() -> None:
    """A driver too old to say the compute capability: no code can be promised for it, nor refused."""
    machine = _machine(ONE, {"compute_capability": None})
    made = preflight(machine, Ask(model=find_model("qwen3-8b")))
    assert made.verdict is Verdict.CANNOT_TELL
    assert made.served is None


def test_models_that_float16_breaks_are_named_on_old_cards() -> None:
    """vLLM refuses float16 for Gemma 3, and before Ampere there is no bfloat16: float32 remains."""
    found = _check("dtype_bf16", _machine("Tesla T4"), model=find_model("gemma-3-4b"))
    assert found is not None and (found.result, found.fix) == (WARN, "fix_float32")


@pytest.mark.parametrize(
    ("spec", "quantization", "result", "fix"),
    [
        (ONE, "fp8", PASS, None),
        # Ampere has no fp8 arithmetic: the weights stay small, the speed does not double.
        ("RTX 3090", "fp8", WARN, "fix_weight_only"),
        ("Tesla T4", "mxfp4", FAIL, "fix"),
    ],
)
def test_weight_format_is_judged_for_the_generation(
    spec: str, quantization: str, result: Result, fix: str | None
) -> None:
    found = _check("quant_supported", _machine(spec), model=find_model("qwen3-8b"), quantization=quantization)
    assert found is not None and (found.result, found.fix) == (result, fix)


def test_format_is_not_judged_while_the_generation_is_unknown() -> None:
    machine = _machine("RTX 4090; RTX 3090", {"compute_capability": None}, {})
    found = _check("quant_supported", machine, model=find_model("qwen3-8b"), quantization="fp8")
    assert found is not None and found.result is UNKNOWN


@pytest.mark.parametrize(
    ("spec", "model", "fix", "needed"),
    [
        ("RTX 3060 12GB", "qwen3-32b", "fix_gpus", 8),
        ("RTX 3060 12GB", "deepseek-r1", "fix", None),
    ],
)
def test_too_large_a_model_is_told_how_many_such_cards_it_takes(
    spec: str, model: str, fix: str, needed: int | None
) -> None:
    found = _check("weights_fit", _machine(spec), model=find_model(model), quantization="bf16")
    assert found is not None and (found.result, found.fix) == (FAIL, fix)
    assert found.values["needed"] == needed


def test_smaller_format_chosen_for_the_user_is_a_warning() -> None:
    found = _check("weights_fit", _machine("RTX 5090"), model=find_model("qwen3-32b"))
    assert found is not None and (found.result, found.fix) == (WARN, "fix_smaller")


@pytest.mark.parametrize(
    ("ram", "result", "fix"),
    [(64 * GIB, PASS, None), (16 * GIB, FAIL, "fix_ram"), (None, UNKNOWN, None)],
)
def test_cpu_build_loads_the_weights_into_ram(ram: int | None, result: Result, fix: str | None) -> None:
    """16 bit of an 8B model are 15.3 GiB, the cache at least 4 GiB more."""
    machine = _machine("2x EPYC 9554", memory=Memory(total_bytes=ram, available_bytes=ram))
    found = _check("weights_fit", machine, model=find_model("qwen3-8b"), build="cpu")
    assert found is not None and (found.result, found.fix) == (result, fix)


@pytest.mark.parametrize(("free", "result"), [(500 * GIB, PASS), (10 * GIB, FAIL), (None, UNKNOWN)])
def test_checkpoint_must_have_room_on_its_disk(free: int | None, result: Result) -> None:
    found = _check("disk_weights", _machine(**_disk(free_bytes=free)), model=find_model("qwen3-8b"))
    assert found is not None and found.result is result
    assert found.values["need_bytes"] > 15 * GIB  # type: ignore[operator]  # a number in this check


def test_way_that_does_not_divide_the_model_is_refused() -> None:
    found = _check("tp_divides", _machine(), model=find_model("qwen3-8b"))
    assert found is not None and (found.result, found.observed) == (PASS, "TP=1, PP=1")


def test_one_card_is_advised_where_one_is_enough() -> None:
    found = _check("topology_advice", _machine(TWO), model=find_model("qwen3-8b"))
    assert found is not None and (found.observed, found.fix) == ("TP=1", "fix_one")


def test_checkpoint_may_go_to_the_roomiest_disk_where_no_place_is_known() -> None:
    disks = (
        Disk(path="/", free_bytes=20 * GIB),
        Disk(path="/data", free_bytes=900 * GIB),
        Disk(path="/run", kind="ram", free_bytes=950 * GIB),
    )
    found = _check("disk_weights", _machine(disks=disks), model=find_model("qwen3-8b"))
    assert found is not None and (found.result, found.observed) == (PASS, "900.0 GiB")


@pytest.mark.parametrize(
    ("spec", "changes", "ask", "result", "fix"),
    [
        ("RTX 4090", {}, {"build": "rocm"}, FAIL, "fix_vendor"),
        ("MI300X", {"gfx_target": "gfx803"}, {"build": "rocm"}, FAIL, "fix_gfx"),
        ("MI300X", {"gfx_target": "gfx942"}, {"build": "rocm"}, PASS, None),
    ],
)
def test_build_of_another_maker_asks_for_its_own_gpu(
    spec: str, changes: dict[str, Any], ask: dict[str, str], result: Result, fix: str | None
) -> None:
    found = _check("gpu_present", _machine(spec, changes), **ask)
    assert found is not None and (found.result, found.fix) == (result, fix)


@pytest.mark.parametrize(
    ("state", "result"), [(AcceleratorState.USABLE, PASS), (AcceleratorState.NO_DRIVER, UNKNOWN)]
)
def test_accelerator_card_is_looked_for_by_its_maker(state: AcceleratorState, result: Result) -> None:
    machine = _machine(ONE, {"vendor": "rebellions", "name": "RBLN-CA22", "state": state})
    found = _check("gpu_present", machine, engine="vllm-rbln")
    assert found is not None and (found.result, found.observed) == (result, "RBLN-CA22")


@pytest.mark.parametrize(
    ("spec", "ram", "model", "result", "fix"),
    [
        (ONE, 64 * GIB, "qwen3-8b", PASS, None),
        ("GTX 1050 Ti", 8 * GIB, "llama-3.3-70b", WARN, "fix_gguf"),
    ],
)
def test_engines_of_gguf_files_are_judged_by_the_file_that_would_be_taken(
    spec: str, ram: int, model: str, result: Result, fix: str | None
) -> None:
    machine = _machine(spec, memory=Memory(total_bytes=ram, available_bytes=ram - 2 * GIB))
    found = _check("weights_fit", machine, engine="llama.cpp", model=find_model(model))
    assert found is not None and (found.result is PASS) == (result is PASS) and found.fix == fix
