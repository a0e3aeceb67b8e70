"""Start of probe.pyz: unpack the libraries once into the user's cache, then run probe from there.

Compiled libraries cannot be imported from inside a zip file, so the archive carries
them for every supported system and unpacks the fitting ones. The archive itself is
only read: it may lie on a read-only share. Where the user's cache cannot be written,
a folder of the user's own under the system's temporary folder serves.
"""

import os
import platform
import shutil
import stat
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
    # The interpreter's own kind: an x86-64 Python on an Arm PC needs x86-64 libraries.
    tag = sysconfig.get_platform().lower()
    machine = next((name for word, name in _MACHINES if tag.endswith(word)), platform.machine().lower())
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    if tag.endswith("universal2"):
        machine = {"arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    return (f"{NATIVE}{version}-{system}-{machine}/", f"{NATIVE}abi3-{system}-{machine}/")


_MACHINES = (("x86_64", "x86_64"), ("amd64", "x86_64"), ("aarch64", "aarch64"), ("arm64", "aarch64"))


def own_caches() -> list[Path]:
    """The user's cache folder; none where nobody's home is known."""
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    try:
        return [Path(base) if base else Path.home() / ".cache"]
    except RuntimeError:
        return []


def temporary_caches() -> list[Path]:
    """A folder for this user alone in the system's temporary folder."""
    owner = str(os.getuid()) if hasattr(os, "getuid") else "user"
    try:
        return [Path(tempfile.gettempdir()) / f"probe-{owner}"]
    except FileNotFoundError:  # nothing at all can be written
        return []


def writable_cache() -> Path | None:
    """The first folder that takes our files and that nobody else could have filled."""
    for folder in own_caches() + temporary_caches():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = folder.lstat()
            foreign = hasattr(os, "getuid") and found.st_uid != os.getuid()
            if folder in temporary_caches() and (foreign or not stat.S_ISDIR(found.st_mode)):
                continue  # somebody else prepared it for us
            target = folder / "probe-pyz"
            target.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=target):
                return target
        except OSError:
            continue
    return None


def is_whole(target: Path) -> bool:
    """Whether everything unpacked is still there: cleaners of temporary folders take single old files."""
    if not target.is_dir():
        return False
    if not any(target.is_relative_to(folder) for folder in temporary_caches()):
        return True
    expected = target / "unpacked-files"
    return expected.is_file() and int(expected.read_text(encoding="ascii")) == count_files(target)


def count_files(folder: Path) -> int:
    """Files below `folder`, without what Python itself writes there."""
    return sum(len(files) for where, _, files in os.walk(folder) if Path(where).name != "__pycache__")


def unpack(archive: zipfile.ZipFile, target: Path) -> None:
    """Write the common and the fitting compiled libraries to `target`, whole or not at all."""
    wanted = (COMMON, *native_folders())
    scratch = Path(tempfile.mkdtemp(prefix="unpack-", dir=target.parent))
    try:
        for entry in archive.infolist():
            prefix = next((prefix for prefix in wanted if entry.filename.startswith(prefix)), None)
            inside = entry.filename[len(prefix) :] if prefix else ""
            if not inside or entry.is_dir() or ".." in Path(inside).parts:
                continue
            path = scratch / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(entry))
        (scratch / "unpacked-files").write_text(str(count_files(scratch) + 1), encoding="ascii")
        try:
            scratch.replace(target)
        except OSError:
            # Another start was faster: its folder is whole, ours is not needed.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    """Unpack when needed and hand over to probe."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        if not any(entry.startswith(native_folders()[0]) for entry in archive.namelist()):
            sys.exit(
                f"probe.pyz holds no libraries for Python {sys.version.split()[0]} on "
                f"{sysconfig.get_platform()}. Use Python 3.10 to 3.14 on Windows, Linux (glibc) or macOS."
            )
        stamp = archive.read("fingerprint").decode("ascii")
        tag = f"{stamp}-{sysconfig.get_config_var('EXT_SUFFIX') or 'py'}".replace("/", "-")
        cache = writable_cache()
        if cache is None:
            tried = ", ".join(map(str, own_caches() + temporary_caches())) or "none"
            sys.exit(
                "probe.pyz must unpack 8 MB of libraries and found no folder of yours to write to (tried: "
                f"{tried}). Set TMPDIR (Windows: TEMP) to a folder you own."
            )
        target = cache / tag
        if not is_whole(target):
            shutil.rmtree(target, ignore_errors=True)
            unpack(archive, target)
    sys.path.insert(0, str(target))
    try:
        from probe.cli.main import run
    except ImportError as error:
        sys.exit(f"probe.pyz does not start from {target}: {error}. Delete that folder and try again.")
    run()
