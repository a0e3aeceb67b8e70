"""Install probe into this checkout and run it: `python3 scripts/run.py [arguments of probe]`.

Needs Python >= 3.10 with pip and nothing else. Everything goes into `.venv` here;
the system's Python stays untouched (PEP 668 systems included). Where the venv
module cannot make an environment (Debian without python3-venv), packages go into
a plain folder instead. Installs again only when the sources have changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "probe", "catalogs", "reports")


def fingerprint_sources() -> str:
    """Hash of every file that goes into the package."""
    digest = hashlib.sha256(sys.version.encode())
    for source in SOURCES:
        top = ROOT / source
        files = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else [top]
        for path in files:
            if "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def make_environment(folder: Path) -> Path | None:
    """The Python of a virtual environment in `folder`, or None where venv cannot make one."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        try:
            venv.create(folder, with_pip=True, clear=True)
        except (OSError, subprocess.SubprocessError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
    return python


def install(folder: Path, what: list[str]) -> tuple[list[str], dict[str, str]]:
    """Install `what` with pip into `folder`; the command and environment that run Python with it.

    Raises:
        SystemExit: pip failed; its own words stand above.
    """
    quiet = ["-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    python = make_environment(folder)
    environment = dict(os.environ)
    if python is not None:
        command = [str(python), *quiet, *what]
        run = [str(python)]
    else:
        packages = folder / "packages"
        what = [item for item in what if item != "-e"]
        command = [sys.executable, *quiet, "--upgrade", "--target", str(packages), *what]
        run = [sys.executable]
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(packages), os.environ.get("PYTHONPATH")])
        )
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("pip could not install the packages; its message stands above")
    return run, environment


def main() -> int:
    """Install when needed, then hand over to probe with all arguments."""
    folder = ROOT / ".venv"
    stamp = folder / "installed-sources"
    wanted = fingerprint_sources()
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        packages = folder / "packages"
        run = [str(python)] if python.exists() else [sys.executable]
        environment = dict(os.environ)
        if not python.exists():
            environment["PYTHONPATH"] = os.pathsep.join(
                filter(None, [str(packages), os.environ.get("PYTHONPATH")])
            )
    else:
        print("installing probe into .venv ...", file=sys.stderr, flush=True)
        run, environment = install(folder, ["."])
        stamp.write_text(wanted, encoding="utf-8")
    # -P keeps the folder we stand in off sys.path, so the installed package answers, not the checkout.
    isolate = ["-P"] if sys.version_info >= (3, 11) else []
    try:
        return subprocess.run(
            [*run, *isolate, "-m", "probe", *sys.argv[1:]], env=environment, check=False
        ).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - run by whatever Python there is
        sys.exit("probe needs Python 3.10 or newer; this is " + sys.version.split()[0])
    sys.exit(main())
