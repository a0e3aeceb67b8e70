"""Start of probe.pyz: unpack the libraries once into the user's cache, then run probe from there.

Compiled libraries cannot be imported from inside a zip file, so the archive carries
them for every supported system and unpacks the fitting ones. The archive itself is
only read: it may lie on a read-only share. Where no cache can be written, a
temporary folder serves and is removed afterwards.
"""

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ARCHIVE = Path(sys.argv[0]).resolve()
COMMON = "common/"
NATIVE = "native/"


def native_folders() -> tuple[str, ...]:
    """Names of the folders with compiled libraries that may fit this Python, best first."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    return (f"{NATIVE}{version}-{system}-{machine}/", f"{NATIVE}abi3-{system}-{machine}/")


def cache_folder(name: str) -> Path | None:
    """Where unpacked libraries of this archive stay, or None where nothing can be written."""
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    folder = Path(base) if base else Path.home() / ".cache"
    target = folder / "probe-pyz" / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            return target
    except OSError:
        return None


def unpack(archive: zipfile.ZipFile, target: Path) -> None:
    """Write the common and the fitting compiled libraries to `target`, whole or not at all."""
    wanted = (COMMON, *native_folders())
    scratch = Path(tempfile.mkdtemp(prefix="unpack-", dir=target.parent))
    for entry in archive.infolist():
        prefix = next((prefix for prefix in wanted if entry.filename.startswith(prefix)), None)
        inside = entry.filename[len(prefix) :] if prefix else ""
        if not inside or entry.is_dir() or ".." in Path(inside).parts:
            continue
        path = scratch / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(entry))
    try:
        scratch.replace(target)
    except OSError:
        # Another start was faster: its folder is whole, ours is not needed.
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    """Unpack when needed and hand over to probe."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        stamp = archive.read("fingerprint").decode("ascii")
        tag = f"{stamp}-{sysconfig.get_config_var('EXT_SUFFIX') or 'py'}".replace("/", "-")
        target = cache_folder(tag)
        temporary = None
        if target is None:
            temporary = Path(tempfile.mkdtemp(prefix="probe-pyz-"))
            target = temporary / "libraries"
        if not target.is_dir():
            unpack(archive, target)
    sys.path.insert(0, str(target))
    try:
        from probe.cli.main import run
    except ImportError as error:
        sys.exit(
            f"probe.pyz holds no compiled libraries for this Python ({error}). "
            "Use Python 3.10 to 3.14 on Windows, Linux or macOS (x86-64 or Arm64)."
        )
    try:
        run()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - started by whatever Python there is
        sys.exit("probe.pyz needs Python 3.10 or newer; this is " + sys.version.split()[0])
    main()
