"""Wheel and source distribution from the last commit: the same commit gives the same bytes."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from scripts.release.wheelhouse import CACHE, ReleaseError, pip, run

# Exact versions: another hatchling may write other bytes, another PyInstaller another executable.
BUILD_TOOLS = ("hatchling==1.33.0", "pyinstaller==6.22.3", "pyinstaller-hooks-contrib==2026.9")
_NO_GIT_EPOCH = 1767225600  # 2026-01-01, for sources without history


def last_commit() -> str:
    """The commit that artefacts are made from; empty where there is no history.

    Raises:
        ReleaseError: git refuses.
    """
    return run(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip() if (ROOT / ".git").exists() else ""


def export_sources(folder: Path, commit: str) -> int:
    """Write the files of a commit to `folder`; returns the commit's time in seconds since 1970.

    Where there is no history (an unpacked source distribution), the files are copied as they are.

    Raises:
        ReleaseError: git refuses.
    """
    if not commit:
        skipped = shutil.ignore_patterns(".*", "dist", "build", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=skipped, dirs_exist_ok=True)
        return _NO_GIT_EPOCH
    epoch = int(run(["git", "-C", str(ROOT), "log", "-1", "--format=%ct", commit]))
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git archive: {done.stderr.decode('utf-8', 'replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        if sys.version_info >= (3, 12):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)  # noqa: S202 - our own commit
    return epoch


def uncommitted_changes() -> int:
    """How many files differ from the last commit; they are in no artefact."""
    if not (ROOT / ".git").exists():
        return 0
    return len(run(["git", "-C", str(ROOT), "status", "--porcelain"]).splitlines())


def tool_python() -> Path:
    """A Python of its own with the build tools, made once under .cache/release.

    Raises:
        ReleaseError: no environment can be made, or the tools cannot be had.
    """
    name = f"tools-{sys.version_info[0]}.{sys.version_info[1]}"
    python = make_environment(CACHE / name)
    stamp, wanted = CACHE / name / "installed", "\n".join(BUILD_TOOLS)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        pip("install", *BUILD_TOOLS, python=str(python))
        stamp.write_text(wanted, encoding="utf-8")
    return python


def make_environment(folder: Path, *, base: str = sys.executable) -> Path:
    """The Python of a virtual environment in `folder`, made when it is not there.

    Raises:
        ReleaseError: the venv module cannot make one.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        try:
            run([base, "-m", "venv", "--clear", str(folder)])
        except ReleaseError as error:
            shutil.rmtree(folder, ignore_errors=True)
            text = f"no virtual environment can be made; on Debian and Ubuntu install python3-venv. {error}"
            raise ReleaseError(text) from error
    return python


def build_distributions(sources: Path, output: Path, *, epoch: int) -> tuple[Path, Path]:
    """The wheel and the source distribution of exported sources.

    Raises:
        ReleaseError: hatchling failed.
    """
    # Neither the clock nor the order of hashing may reach the bytes.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    command = [
        str(tool_python()),
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-t",
        "sdist",
        "-d",
        str(output),
    ]
    run(command, cwd=sources, environment=environment)
    return next(output.glob("*.whl")), next(output.glob("*.tar.gz"))
