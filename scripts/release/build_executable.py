"""Builds the single-file executable of this system with PyInstaller, and reads what glibc it needs.

Start-up time of PyInstaller's file is unpacking plus Python's own; nothing is compiled.
"""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scripts.release.sources import make_environment, tool_python
from scripts.release.wheelhouse import LOCK, ReleaseError, Wheel, pip, run

_HERE = Path(__file__).resolve().parent
_LIST = """
import sys
from pathlib import Path
from PyInstaller.archive.readers import CArchiveReader
archive, folder = CArchiveReader(sys.argv[1]), Path(sys.argv[2])
for number, name in enumerate(sorted(archive.toc)):
    content = archive.extract(name)
    if isinstance(content, bytes) and content[:4] == b"\\x7fELF":
        (folder / f"{number}-{Path(name).name}").write_bytes(content)
"""


class GlibcNeed(NamedTuple):
    """The newest symbol version that one file asks the C library for."""

    version: tuple[int, ...]
    file: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} ({self.file})"


def executable_name() -> str:
    """File name of this system's executable."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    return f"probe-{system}-{machine}{'.exe' if sys.platform == 'win32' else ''}"


def build_executable(own: Path, wheels: Iterable[Wheel], output: Path, *, epoch: int) -> None:
    """Write the executable of the running system and Python.

    Args:
        own: our own wheel; what goes in is installed from it and from the locked wheels alone.

    Raises:
        ReleaseError: PyInstaller cannot work here, e.g. Python has no shared library.
    """
    with tempfile.TemporaryDirectory(prefix="probe-exe-") as scratch:
        folder = Path(scratch)
        python = str(make_environment(folder / "environment"))
        house = {wheel.path.parent for wheel in wheels}
        links = [part for place in house for part in ("--find-links", str(place))]
        pip("install", "--no-index", *links, "--require-hashes", "--no-deps", "-r", str(LOCK), python=python)
        pip("install", "--no-index", "--no-deps", str(own), python=python)
        for name in ("RECORD", "direct_url.json"):  # they name the folder of this build
            for path in Path(_packages_of(Path(python))).glob(f"*.dist-info/{name}"):
                path.unlink()
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            "SOURCE_DATE_EPOCH": str(epoch),
            "PYTHONPATH": _packages_of(tool_python()),  # PyInstaller itself stays out of what it packs
            "PROBE_START": str(_HERE / "executable_main.py"),
            "PROBE_NAME": output.stem if output.suffix == ".exe" else output.name,
        }
        target, work = folder / "dist", folder / "work"
        options = ["--noconfirm", "--distpath", str(target), "--workpath", str(work), "--log-level", "WARN"]
        command = [python, "-m", "PyInstaller", *options, str(_HERE / "probe.spec")]
        run(command, cwd=folder, environment=environment)
        built = target / output.name
        part = output.with_name(output.name + ".part")
        shutil.copyfile(built, part)
        part.chmod(0o755)
        part.replace(output)


def glibc_needs(executable: Path) -> list[GlibcNeed]:
    """What the executable and every library inside it ask of glibc, most demanding first.

    Read from the symbol versions that each ELF file needs (`readelf --version-info`).

    Raises:
        ReleaseError: readelf is missing.
    """
    if shutil.which("readelf") is None:
        raise ReleaseError("readelf is missing; install binutils")
    needs = []
    with tempfile.TemporaryDirectory(prefix="probe-elf-") as scratch:
        run([str(tool_python()), "-c", _LIST, str(executable), scratch])
        for path in (executable, *Path(scratch).iterdir()):
            text = run(["readelf", "--version-info", "--wide", str(path)])
            versions = [
                tuple(map(int, found.split("."))) for found in re.findall(r"Name: GLIBC_(\d[\d.]*)", text)
            ]
            needs.append(GlibcNeed(max(versions, default=(0,)), path.name.partition("-")[2] or path.name))
    return sorted(needs, reverse=True)


def _packages_of(python: Path) -> str:
    return run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
