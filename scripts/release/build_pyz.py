"""Build probe.pyz, one file with everything inside: `python scripts/release/build_pyz.py [OUTPUT]`.

Runs on any Python >= 3.10 of Windows, Linux (glibc) and macOS without installing
anything. Dependencies are the wheels that pip resolves for each system; the same
sources and the same wheels give the same bytes.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "windows-x86_64": ("win_amd64",),
    "linux-x86_64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"),
    "linux-aarch64": ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"),
    "macos-aarch64": ("macosx_11_0_arm64",),
    "macos-x86_64": ("macosx_10_9_x86_64", "macosx_10_13_x86_64", "macosx_10_15_x86_64"),
}
# Optional at run time or only for other Pythons; every name is resolved with its own needs left out.
PURE = ("typer>=0.26,<0.29", "rich>=13.9", "nvidia-ml-py", "py-cpuinfo", "jinja2", "tomli", "shellingham",
        "annotated-doc", "markdown-it-py", "mdurl", "pygments", "colorama")  # fmt: skip
COMPILED = ("msgspec", "psutil", "markupsafe")
_FIXED_DATE = (2026, 1, 1, 0, 0, 0)
_SKIPPED = (".dist-info/RECORD", ".pyi", "/tests/", "INSTALLER", ".pyc")


def pip(*arguments: str) -> None:
    """Run pip quietly; its own words are shown when it fails.

    Raises:
        SystemExit: pip failed.
    """
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(f"pip failed: {' '.join(arguments)}")


def download(folder: Path, python: str, tags: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Wheels of `names` for one Python and platform into `folder`."""
    platforms = [part for tag in tags for part in ("--platform", tag)]
    wanted = ["--python-version", python, "--implementation", "cp", "--only-binary=:all:", "--no-deps"]
    pip("download", "-d", str(folder), *wanted, *platforms, *names)


def add_wheel(archive: dict[str, bytes], wheel: Path, prefix: str) -> None:
    """Files of one wheel under `prefix`, without what nothing reads at run time."""
    with zipfile.ZipFile(wheel) as packed:
        for entry in packed.infolist():
            if entry.is_dir() or any(mark in entry.filename for mark in _SKIPPED):
                continue
            name = entry.filename
            if ".data/" in name:
                continue
            archive.setdefault(prefix + name, packed.read(entry))


def collect() -> dict[str, bytes]:
    """Every file of the archive by its name."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / "own"
        pip("wheel", "--no-deps", "-w", str(own), ".")
        for wheel in sorted(own.glob("*.whl")):
            add_wheel(files, wheel, "common/")
        pure = Path(scratch) / "pure"
        pip("download", "-d", str(pure), "--only-binary=:all:", "--no-deps", *PURE)
        for wheel in sorted(pure.glob("*.whl")):
            add_wheel(files, wheel, "common/")
        for platform_name, tags in PLATFORMS.items():
            for python in PYTHONS:
                folder = Path(scratch) / f"{platform_name}-{python}"
                download(folder, python, tags, COMPILED)
                short = "cp" + python.replace(".", "")
                for wheel in sorted(folder.glob("*.whl")):
                    place = "abi3" if "abi3" in wheel.name else short
                    add_wheel(files, wheel, f"native/{place}-{platform_name}/")
    return files


def main() -> int:
    """Write the archive and print its size and hash."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "probe.pyz"
    output.parent.mkdir(parents=True, exist_ok=True)
    files = collect()
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name])
    files["fingerprint"] = digest.hexdigest()[:16].encode("ascii")
    files["__main__.py"] = (ROOT / "scripts/release/pyz_main.py").read_bytes()
    scratch = output.with_suffix(".part")
    with scratch.open("wb") as target:
        target.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _FIXED_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, files[name])
    scratch.chmod(0o755)
    scratch.replace(output)
    content = output.read_bytes()
    print(f"{output}: {len(content) / 1e6:.1f} MB, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
