"""Packs probe.pyz: one file that any Python >= 3.10 of Windows, Linux (glibc) and macOS runs as it is.

The same sources and the same locked wheels give the same bytes.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

from scripts.release.wheelhouse import PLATFORMS, Wheel

_HERE = Path(__file__).resolve().parent
_FIXED_DATE = (2026, 1, 1, 0, 0, 0)
# Nothing reads these at run time; licences and METADATA stay.
_SKIPPED = (".dist-info/RECORD", ".dist-info/INSTALLER", ".pyi", "/tests/", ".pyc")


def build_pyz(own: Path, wheels: Iterable[Wheel], output: Path) -> None:
    """Write the archive with our wheel and all it needs; it appears whole or not at all.

    Args:
        own: our own wheel.
        wheels: what it needs, for every system and Python.
    """
    files: dict[str, bytes] = {}
    _add_wheel(files, own, "common/")
    for wheel in wheels:
        for prefix in _prefixes(wheel):
            _add_wheel(files, wheel.path, prefix)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name])
    files["fingerprint"] = digest.hexdigest()[:16].encode("ascii")
    files["__main__.py"] = (_HERE / "pyz_start.py").read_bytes()
    files["pyz_main.py"] = (_HERE / "pyz_main.py").read_bytes()
    scratch = output.with_suffix(".part")
    with scratch.open("wb") as target:
        target.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _FIXED_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # else Windows writes another byte than Linux
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, files[name])
    scratch.chmod(0o755)
    scratch.replace(output)


def _prefixes(wheel: Wheel) -> list[str]:
    """Folders of the archive that a wheel's files go to; more than one for a universal wheel."""
    if not wheel.compiled:
        return ["common/"]
    tag = "abi3" if wheel.abi == "abi3" else wheel.python
    fitting = [name for name, tags in PLATFORMS.items() if set(tags) & set(wheel.platform.split("."))]
    return [f"native/{tag}-{name}/" for name in fitting]


def _add_wheel(files: dict[str, bytes], wheel: Path, prefix: str) -> None:
    with zipfile.ZipFile(wheel) as packed:
        for entry in packed.infolist():
            name = entry.filename
            if not entry.is_dir() and ".data/" not in name and not any(mark in name for mark in _SKIPPED):
                files.setdefault(prefix + name, packed.read(entry))
