"""Runtime libraries that engines build on: by files alone, nothing is loaded or started."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found
from probe.collectors.host import Host
from probe.machine.software import Runtime, Software

_LIBRARIES: Final = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
_PACKAGES: Final = ("openvino", "openvino-genai")


def collect(host: Host) -> Facts:
    """Vulkan, ROCm, CUDA toolkit, oneAPI, Level Zero, OpenVINO. Metal is the Mac collector's."""
    facts = host.platform()
    found = list(_windows(host) if facts.system == "windows" else _linux(host))
    if facts.system == "macos":
        found = []
    packages = host.packages(_PACKAGES)
    version = packages.get("openvino") or packages.get("openvino-genai")
    if version:
        found.append(Runtime(id="openvino", version=version))
    if found:
        toolkit = next((runtime.version for runtime in found if runtime.id == "cuda_toolkit"), None)
        yield Found(Software(runtimes=tuple(found), cuda_toolkit_version=toolkit), "files")


def _linux(host: Host) -> list[Runtime]:
    found = [
        _library(host, "vulkan", "libvulkan.so.1"),
        _rocm(host),
        _cuda(host, host.variable("CUDA_HOME") or "/usr/local/cuda", "/"),
        _oneapi(host, "/opt/intel/oneapi"),
        _library(host, "level_zero", "libze_loader.so.1"),
    ]
    return [runtime for runtime in found if runtime is not None]


def _windows(host: Host) -> list[Runtime]:
    system = host.variable("SystemRoot") or r"C:\Windows"
    found: list[Runtime | None] = [
        Runtime(id="vulkan") if host.exists(rf"{system}\System32\vulkan-1.dll") else None,
        Runtime(id="level_zero") if host.exists(rf"{system}\System32\ze_loader.dll") else None,
        _oneapi(host, None),
    ]
    cuda, hip = host.variable("CUDA_PATH"), host.variable("HIP_PATH")
    if cuda:
        found.append(_cuda(host, cuda, "\\"))
    if hip:
        version = re.search(r"\d+\.\d+", hip.rstrip("\\").rpartition("\\")[2])
        found.append(Runtime(id="rocm", version=version[0] if version else None))
    return [runtime for runtime in found if runtime is not None]


def _library(host: Host, name: str, library: str) -> Runtime | None:
    """A shared library of the system; its own file name carries the version."""
    for folder in _LIBRARIES:
        target = host.read_link(f"{folder}/{library}")
        if not isinstance(target, Failure):
            version = re.search(r"\.so\.(\d+(?:\.\d+)+)$", target)
            return Runtime(id=name, version=version[1] if version else None)
    return None


def _rocm(host: Host) -> Runtime | None:
    """ROCm by its version file; a package without the link /opt/rocm has it under /opt/rocm-6.4.0."""
    named = host.variable("ROCM_PATH")
    for folder in (named, "/opt/rocm") if named else ("/opt/rocm",):
        text = host.read_text(f"{folder}/.info/version")
        if not isinstance(text, Failure):
            return Runtime(id="rocm", version=parse_rocm_version(text))
    names = host.list_directory("/opt")
    text = "" if isinstance(names, Failure) else "\n".join(names)
    versions: list[str] = re.findall(r"(?m)^rocm-(\d+(?:\.\d+)+)$", text)
    newest = max(versions, key=lambda text: [int(part) for part in text.split(".")], default=None)
    return Runtime(id="rocm", version=newest) if newest else None


def parse_rocm_version(text: str) -> str | None:
    """`6.2.4` of `6.2.4-109` in /opt/rocm/.info/version."""
    found = re.match(r"\s*(\d+(?:\.\d+)+)", text)
    return found[1] if found else None


def _cuda(host: Host, folder: str, separator: str) -> Runtime | None:
    """The toolkit (compiler and headers), not what the driver supports."""
    text = host.read_text(f"{folder}{separator}version.json")
    if isinstance(text, Failure):
        return None
    return Runtime(id="cuda_toolkit", version=parse_cuda_version(text))


def parse_cuda_version(text: str) -> str | None:
    """The toolkit's version in its version.json; None for damaged ones."""
    try:
        document = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return None
    part = document.get("cuda") if isinstance(document, Mapping) else None
    version = part.get("version") if isinstance(part, Mapping) else None
    return version if isinstance(version, str) else None


def _oneapi(host: Host, usual: str | None) -> Runtime | None:
    folder = host.variable("ONEAPI_ROOT") or usual
    if folder is None or not host.exists(folder):
        return None
    names = host.list_directory(folder)
    shown = () if isinstance(names, Failure) else names
    versions = [name for name in shown if re.fullmatch(r"20\d\d\.\d+", name)]
    return Runtime(id="oneapi", version=max(versions, default=None))
