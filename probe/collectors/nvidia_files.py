"""What NVIDIA's kernel module and the files around it say, also where NVML does not answer."""

import re
from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, NvidiaFiles, VisibleDevices
from probe.collectors.host import Host
from probe.collectors.pci import normal_address
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import OperatingSystem

_VERSION: Final = "/proc/driver/nvidia/version"
_CARDS: Final = "/proc/driver/nvidia/gpus"
_LIBRARY: Final = "libnvidia-ml.so.1"
_FOLDERS: Final = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
)
_SECURE_BOOT: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_NODES: Final = ("nvidiactl", "nvidia0", "nvidia-uvm", "dxg", "nvhost-gpu", "nvgpu")


def collect(host: Host) -> Facts:
    """Versions of kernel module and library, device nodes, product names, Tegra boards, environment masks."""
    yield Found(
        VisibleDevices(
            cuda=host.variable("CUDA_VISIBLE_DEVICES"),
            order=host.variable("CUDA_DEVICE_ORDER"),
            container=host.variable("NVIDIA_VISIBLE_DEVICES"),
        ),
        "environment",
    )
    if host.platform().system != "linux":
        return
    started = host.clock_s()
    version = host.read_text(_VERSION)
    module = None if isinstance(version, Failure) else parse_module_version(version)
    if module is None:
        loaded = host.read_text("/sys/module/nvidia/version")
        module = None if isinstance(loaded, Failure) else loaded.strip() or None
    files = NvidiaFiles(
        kernel_module_version=module,
        library_version=_library_version(host),
        device_nodes=tuple(name for name in _NODES if host.exists(f"/dev/{name}")),
    )
    if module is None and files.library_version is not None:
        secure = host.read_bytes(_SECURE_BOOT, 64)
        if not isinstance(secure, Failure):
            yield Found(OperatingSystem(secure_boot=parse_secure_boot(secure)), "EFI")
    tegra = host.read_text("/proc/device-tree/compatible")
    is_tegra = not isinstance(tegra, Failure) and "nvidia,tegra" in tegra
    board = host.read_text("/proc/device-tree/model") if is_tegra else None
    known = module is not None or files.library_version is not None or is_tegra
    yield Attempt(
        source="nvidia driver files",
        result=AttemptResult.OK if known else AttemptResult.ABSENT,
        ms=round((host.clock_s() - started) * 1000, 2),
    )
    yield Found(
        NvidiaFiles(
            kernel_module_version=files.kernel_module_version,
            library_version=files.library_version,
            device_nodes=files.device_nodes,
            is_tegra=is_tegra,
            board=board.strip("\0 \n") or None if isinstance(board, str) else None,
            models=_models(host) if module else {},
        ),
        "/proc/driver/nvidia",
    )


def parse_module_version(text: str) -> str | None:
    """`580.95.05` of /proc/driver/nvidia/version, for the proprietary and the open module."""
    found = re.search(r"Kernel Module(?:\s+for\s+\S+)?\s+(\d+\.\d+(?:\.\d+)?)", text)
    return found[1] if found else None


def parse_secure_boot(raw: bytes) -> bool | None:
    """Whether an EFI machine refuses unsigned modules: one byte behind four of attributes."""
    return raw[4] == 1 if len(raw) == 5 else None


def parse_card_information(text: str) -> str | None:
    """The product name in /proc/driver/nvidia/gpus/ADDRESS/information; None while it is `Unknown`."""
    found = re.search(r"^Model:\s*(.+?)\s*$", text, re.MULTILINE)
    return found[1] if found and found[1] != "Unknown" else None


def _library_version(host: Host) -> str | None:
    for folder in _FOLDERS:
        target = host.read_link(f"{folder}/{_LIBRARY}")
        if not isinstance(target, Failure):
            found = re.search(r"libnvidia-ml\.so\.(\d+\.\d+(?:\.\d+)?)$", target)
            if found:
                return found[1]
    return None


def _models(host: Host) -> dict[str, str]:
    names = host.list_directory(_CARDS)
    models: dict[str, str] = {}
    for name in () if isinstance(names, Failure) else names:
        text = host.read_text(f"{_CARDS}/{name}/information")
        model = None if isinstance(text, Failure) else parse_card_information(text)
        if model:
            models[normal_address(name)] = model
    return models
