"""What the interpreter knows of the system under it, without the slow standard module."""

import os
import sys

from probe.collectors.answers import PlatformFacts

_SYSTEMS = {"linux": "linux", "win32": "windows", "cygwin": "windows", "darwin": "macos"}
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "i386": "i686", "x86": "i686"}


def architecture_name(machine: str) -> str:
    """One spelling for what systems call differently: x86_64, aarch64, i686, else as given in lower case."""
    lower = machine.lower()
    return _ARCHITECTURES.get(lower, lower)


def platform_facts() -> PlatformFacts:
    """Facts about the machine we run on."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    bits = 64 if sys.maxsize > 2**32 else 32
    system = _SYSTEMS.get(sys.platform, sys.platform)
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    if sys.platform == "win32":
        build = sys.getwindowsversion()
        return PlatformFacts(
            system=system,
            architecture=architecture_name(_windows_machine()),
            kernel=f"{build.major}.{build.minor}.{build.build}",
            host_name=os.environ.get("COMPUTERNAME"),
            user_name=os.environ.get("USERNAME"),
            home=home,
            python=version,
            python_bits=bits,
            windows_build=build.build,
            logical_cores=os.cpu_count(),
        )
    names = os.uname()
    return PlatformFacts(
        system=system,
        architecture=architecture_name(names.machine),
        kernel=names.release,
        kernel_build=names.version,
        host_name=names.nodename or None,
        user_name=os.environ.get("USER") or os.environ.get("LOGNAME"),
        home=home if home.startswith("/") else None,
        python=version,
        python_bits=bits,
        glibc=_glibc(),
        logical_cores=os.cpu_count(),
    )


def _windows_machine() -> str:
    """The machine's own architecture: a 32-bit or emulated process sees another one in the first variable."""
    return os.environ.get("PROCESSOR_ARCHITEW6432") or os.environ.get("PROCESSOR_ARCHITECTURE") or "unknown"


def _glibc() -> str | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None
    return text.split()[-1] if text and text.startswith("glibc") else None
