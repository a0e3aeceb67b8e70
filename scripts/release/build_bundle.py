"""Packs the offline bundle: wheels for every system and Python, hashes, and scripts that install them.

For networks that reach no package index. pip verifies every wheel against the
hashes in requirements.txt; SHA256SUMS covers every file of the bundle.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

from scripts.release.wheelhouse import Locked, Wheel, file_hash, lock_text, read_lock, read_wheel_name

_TEXTS = Path(__file__).with_name("bundle")
_FIXED_DATE = (2026, 1, 1, 0, 0, 0)


def build_bundle(own: Path, wheels: Iterable[Wheel], output: Path, *, texts: Iterable[Path]) -> None:
    """Write the bundle; it appears whole or not at all.

    Args:
        own: our own wheel.
        wheels: what it needs, for every system and Python.
        texts: licences and the like, to lie beside the scripts.
    """
    ours = read_wheel_name(own)
    packages = [*read_lock(), Locked(ours.name, ours.version, (file_hash(own),))]
    files = {f"wheels/{path.name}": path.read_bytes() for path in (own, *(wheel.path for wheel in wheels))}
    files["requirements.txt"] = lock_text(packages, markers=True).encode("utf-8")
    for path in (*_TEXTS.iterdir(), *texts):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        # The command interpreter of Windows misreads labels in files with Unix line ends.
        windows = path.suffix in (".cmd", ".txt")
        files[path.name] = content.replace(b"\n", b"\r\n") if windows else content
    sums = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    files["SHA256SUMS"] = "".join(sums).encode("ascii")
    scratch = output.with_suffix(".part")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{output.stem}/{name}", _FIXED_DATE)
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            archive.writestr(entry, files[name])
    scratch.replace(output)
