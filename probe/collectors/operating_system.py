"""Which system runs here: name, version, kernel, C library, WSL, container, desktop or server."""

import re
from collections.abc import Mapping
from typing import Final

from probe.collectors.answers import Failure, PlatformFacts, RegistryValue
from probe.collectors.container import find_container
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import Host as Identity
from probe.machine.description import OperatingSystem, OsFamily

_FAMILIES: Final = {"linux": OsFamily.LINUX, "windows": OsFamily.WINDOWS, "macos": OsFamily.MACOS}
_WINDOWS_KEY: Final = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_FIRST_WINDOWS_11_BUILD: Final = 22000
_SESSIONS: Final = ("/usr/share/wayland-sessions", "/usr/share/xsessions")
_DEFAULT_TARGETS: Final = (
    "/etc/systemd/system/default.target",
    "/usr/lib/systemd/system/default.target",
    "/lib/systemd/system/default.target",
)


def collect(host: Host) -> Facts:
    """The operating system, first by what the interpreter knows, then by its files."""
    facts = host.platform()
    family = _FAMILIES.get(facts.system)
    yield Found(
        Identity(name=facts.host_name, python=facts.python, python_bits=facts.python_bits),
        "interpreter",
    )
    yield Found(
        OperatingSystem(family=family, kernel=facts.kernel, glibc=facts.glibc),
        "interpreter",
    )
    if family is OsFamily.LINUX:
        yield from _collect_linux(host, facts)
    elif family is OsFamily.WINDOWS:
        values, attempt = ask(host, "registry: Windows version", lambda: host.registry_values(_WINDOWS_KEY))
        yield attempt
        if not isinstance(values, Failure):
            yield Found(parse_windows_version(values), "registry")
    elif family is OsFamily.MACOS:
        path = "/System/Library/CoreServices/SystemVersion.plist"
        text, attempt = ask(host, path, lambda: host.read_text(path))
        yield attempt
        if not isinstance(text, Failure):
            yield Found(parse_system_version_plist(text), path)


def collect_identity(host: Host) -> Facts:
    """The machine's random id."""
    started = host.clock_s()
    machine_id = host.machine_id()
    yield Attempt(
        source="machine id",
        result=AttemptResult.OK if machine_id else AttemptResult.DENIED,
        ms=round((host.clock_s() - started) * 1000, 2),
        detail=None if machine_id else "the user's state folder cannot be written",
    )
    if machine_id:
        yield Found(Identity(id=machine_id), "state folder")


def _collect_linux(host: Host, facts: PlatformFacts) -> Facts:
    source = "/etc/os-release"
    text, attempt = ask(host, source, lambda: host.read_text(source))
    if isinstance(text, Failure):
        source = "/usr/lib/os-release"
        text, attempt = ask(host, source, lambda: host.read_text(source))
    yield attempt
    if not isinstance(text, Failure):
        yield Found(parse_os_release(text), source)
    version = host.read_text("/proc/version")
    wsl = parse_wsl(
        f"{facts.kernel or ''} {'' if isinstance(version, Failure) else version}",
        interop=host.exists("/proc/sys/fs/binfmt_misc/WSLInterop") or host.exists("/run/WSL"),
    )
    container = find_container(host)
    yield Found(OperatingSystem(wsl=wsl, container=container), "/proc/version")
    yield Found(OperatingSystem(desktop=not wsl and not container and _has_desktop(host)), "sessions")


def _has_desktop(host: Host) -> bool:
    """Whether a graphical session starts here: a session is installed and the boot leads to it."""
    installed = any(
        not isinstance(names := host.list_directory(path), Failure) and names for path in _SESSIONS
    )
    if not installed:
        return False
    for path in _DEFAULT_TARGETS:
        target = host.read_link(path)
        if not isinstance(target, Failure):
            return not target.endswith(("multi-user.target", "rescue.target"))
    return True  # no systemd: an installed session is started by hand or by another init


def parse_os_release(text: str) -> OperatingSystem:
    """Name and version of a distribution; rolling ones have no version."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            fields[name] = value.strip().strip("\"'")
    return OperatingSystem(
        name=fields.get("NAME") or fields.get("ID") or None, version=fields.get("VERSION_ID") or None
    )


def parse_wsl(kernel: str, *, interop: bool) -> int | None:
    """1 or 2 under the Windows Subsystem for Linux, by its kernel's name; None elsewhere.

    WSL 1 calls itself `4.4.0-19041-Microsoft`; WSL 2 runs a real kernel, by default
    `...-microsoft-standard-WSL2`. An own kernel has neither name, only the interop file.
    """
    lower = kernel.lower()
    if "microsoft" in lower:
        return 1 if re.search(r"-microsoft\b(?!-)", lower) and "wsl2" not in lower else 2
    return 2 if interop else None


def parse_windows_version(fields: Mapping[str, RegistryValue]) -> OperatingSystem:
    """Windows by its build number: the product name still says Windows 10 on Windows 11."""
    build_text = str(fields.get("CurrentBuild") or fields.get("CurrentBuildNumber") or "")
    product = str(fields.get("ProductName") or "Windows")
    client = str(fields.get("InstallationType", "Client")) == "Client"
    build = int(build_text) if build_text.isdigit() else None
    name = product
    if client and build is not None:
        name = (
            "Windows 11" if build >= _FIRST_WINDOWS_11_BUILD else "Windows 10" if build >= 10240 else product
        )
    revision = fields.get("UBR")
    kernel = f"10.0.{build}" + (f".{revision}" if isinstance(revision, int) else "") if build else None
    version = fields.get("DisplayVersion") or fields.get("ReleaseId")
    edition = str(fields.get("EditionID") or "") or None
    return OperatingSystem(
        name=name, version=str(version) if version else None, edition=edition, kernel=kernel, desktop=client
    )


def parse_system_version_plist(text: str) -> OperatingSystem:
    """macOS name and version from SystemVersion.plist."""
    fields = dict(re.findall(r"<key>(\w+)</key>\s*<string>([^<]*)</string>", text))
    return OperatingSystem(name=fields.get("ProductName"), version=fields.get("ProductVersion"), desktop=True)
