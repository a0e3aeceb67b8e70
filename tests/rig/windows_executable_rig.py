"""The single-file executable for Windows, built by PyInstaller on the real Windows Python under Wine.

Made only when asked for by name (`install_rigs.py windows-executable`): about two minutes on
idle cores, ten on busy ones. Needs the rigs `windows` and `release`. What differs from a build on Windows:

- Wine hands no pipes to child processes, so PyInstaller's helpers run in its own process;
- the embeddable Python keeps its library in a zip file, which PyInstaller does not read: unpacked.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.rig import release_rig, windows_rig
from tests.rig.install_rigs import RigMissingError
from tests.rig.windows_rig import WindowsPython, windows_path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "windows-executable"
NAME = "probe-windows-x86_64"
EXECUTABLE = CACHE / "dist" / f"{NAME}.exe"
# As scripts/release/sources.py pins them, and what they need on Windows.
_TOOLS = ("altgraph", "packaging", "pefile", "pywin32-ctypes")
_LIMIT_S = 1500


def install() -> str:
    """Build the executable of the release rig's wheel.

    Raises:
        RigMissingError: another rig is missing, or PyInstaller failed.
    """
    for rig, missing in (("windows", windows_rig.why_missing()), ("release", release_rig.why_missing())):
        if missing:
            raise RigMissingError(f"needs the rig {rig}: {missing}")
    stamp = CACHE / "built-from"
    if not EXECUTABLE.exists() or stamp.read_text(encoding="ascii") != release_rig.built_from():
        shutil.rmtree(CACHE, ignore_errors=True)
        _lay_out_python()
        _build()
        stamp.write_text(release_rig.built_from(), encoding="ascii")
    return f"{EXECUTABLE.name} {EXECUTABLE.stat().st_size / 1e6:.1f} MB"


def why_missing() -> str | None:
    """Why the executable cannot be started right now; None when it can."""
    if windows_rig.why_missing():
        return windows_rig.why_missing()
    if not EXECUTABLE.exists():
        return "not built: run `python tests/rig/install_rigs.py windows-executable`"
    return None


def _lay_out_python() -> None:
    """A copy of the Windows Python that PyInstaller can read, with our wheel and its locked needs."""
    sys.path.insert(0, str(ROOT))
    from scripts.release.sources import BUILD_TOOLS
    from scripts.release.wheelhouse import fetch

    python, site, tools = CACHE / "python", CACHE / "site", CACHE / "tools"
    shutil.copytree(windows_rig.PYTHON, python)
    library = python / "python313.zip"
    with zipfile.ZipFile(library) as packed:
        packed.extractall(python / "Lib")
    library.unlink()
    paths = ["Lib", ".", windows_path(site), "import site", ""]
    (python / "python313._pth").write_text("\r\n".join(paths), encoding="utf-8", newline="")
    target = ["--platform", "win_amd64", "--python-version", "3.13", "--only-binary=:all:", "--no-deps"]
    wanted = [name for name in (*BUILD_TOOLS, *_TOOLS) if not name.startswith("hatchling")]
    command = [sys.executable, "-m", "pip", "download", "-q", "-d", str(tools), *target, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RigMissingError(f"pip: {done.stderr[-400:]}")
    ours = [wheel.path for wheel in fetch() if _fits(wheel.platform, wheel.python, wheel.abi)]
    for wheel in (*tools.glob("*.whl"), *ours, release_rig.artefact("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(site)


def _fits(platform: str, python: str, abi: str) -> bool:
    return platform == "any" or (platform == "win_amd64" and (python == "cp313" or abi == "abi3"))


def _build() -> None:
    release = ROOT / "scripts" / "release"
    options = ["--noconfirm", "--log-level", "WARN", "--distpath", windows_path(CACHE / "dist")]
    variables = {
        "PROBE_START": windows_path(release / "executable_main.py"),
        "PROBE_NAME": NAME,
        "PYTHONHASHSEED": "0",
    }
    windows = WindowsPython()
    try:
        outcome = windows.run(
            windows_path(Path(__file__).with_name("pyinstaller_in_process.py")),
            *options,
            "--workpath",
            windows_path(CACHE / "work"),
            windows_path(release / "probe.spec"),
            program=windows_path(CACHE / "python" / "python.exe"),
            timeout_s=_LIMIT_S,
            **variables,
        )
    except subprocess.TimeoutExpired as error:
        raise RigMissingError(f"PyInstaller did not end within {_LIMIT_S} s under Wine") from error
    finally:
        windows.close()
    if outcome.code or not EXECUTABLE.exists():
        raise RigMissingError(f"PyInstaller under Wine: {outcome.stderr.decode('utf-8', 'replace')[-800:]}")
