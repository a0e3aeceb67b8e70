"""The exact wheels that artefacts carry: `python scripts/release/wheelhouse.py [--lock]`.

`locked-wheels.txt` names one version of every package and the hash of each of its
wheels, for every system and Python that we support. Without an argument the wheels
are fetched into a folder and verified; `--lock` resolves anew and rewrites the list.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("locked-wheels.txt")
CACHE = ROOT / ".cache" / "release"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "windows-x86_64": ("win_amd64",),
    "windows-aarch64": ("win_arm64",),
    "linux-x86_64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"),
    "linux-aarch64": ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"),
    "macos-aarch64": ("macosx_11_0_arm64",),
    "macos-x86_64": ("macosx_10_9_x86_64", "macosx_10_13_x86_64", "macosx_10_15_x86_64"),
}
# Needed on some systems only, and so never seen when pip resolves for another one.
MARKERS = {"tomli": 'python_version < "3.11"', "colorama": 'sys_platform == "win32"'}
_AT_ONCE = 3


class ReleaseError(RuntimeError):
    """An artefact cannot be built here; the text says why and what would help."""


class Locked(NamedTuple):
    """One package of the list."""

    name: str
    version: str
    hashes: tuple[str, ...]


class Wheel(NamedTuple):
    """What the name of a wheel says."""

    path: Path
    name: str
    version: str
    python: str
    abi: str
    platform: str

    @property
    def compiled(self) -> bool:
        """Whether it fits some systems only."""
        return self.platform != "any"


def read_wheel_name(path: Path) -> Wheel:
    """The parts of `name-version-python-abi-platform.whl`."""
    name, version, *_, python, abi, platform = path.name.removesuffix(".whl").split("-")
    return Wheel(path, normalised(name), version, python, abi, platform)


def normalised(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock() -> tuple[Locked, ...]:
    """The packages of `locked-wheels.txt` in its order.

    Raises:
        ReleaseError: a line has neither version nor hash.
    """
    text = LOCK.read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement, *options = line.split()
        name, _, version = requirement.partition("==")
        hashes = tuple(option.removeprefix("--hash=sha256:") for option in options)
        if not version or not hashes:
            raise ReleaseError(f"{LOCK.name} has a line without version or hash: {line[:60]}")
        found.append(Locked(name, version, hashes))
    return tuple(found)


def lock_text(packages: Iterable[Locked], *, markers: bool = False) -> str:
    """Packages in the form that `pip install --require-hashes -r` reads."""
    lines = []
    for package in sorted(packages):
        condition = f" ; {MARKERS[package.name]}" if markers and package.name in MARKERS else ""
        hashes = "".join(f" \\\n    --hash=sha256:{value}" for value in sorted(package.hashes))
        lines.append(f"{package.name}=={package.version}{condition}{hashes}\n")
    return "".join(lines)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(command: list[str], *, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed.

    Raises:
        ReleaseError: it failed; its last words are in the text.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ReleaseError(f"{command[0]}: {error}") from error
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise ReleaseError(f"{' '.join(command)[:200]} ended with {done.returncode}:\n{words}")
    return done.stdout


def pip(*arguments: str, python: str = sys.executable) -> None:
    """Run pip quietly.

    Raises:
        ReleaseError: pip failed.
    """
    run([python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments])


def fetch() -> tuple[Wheel, ...]:
    """All wheels of the list, from the cache or from the index; only listed hashes are kept.

    Raises:
        ReleaseError: a listed wheel cannot be had.
    """
    wanted = {value: package for package in read_lock() for value in package.hashes}
    folder = CACHE / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    have = {file_hash(path): path for path in folder.glob("*.whl")}
    if wanted.keys() - have.keys():
        _download([f"{item.name}=={item.version}" for item in read_lock()], folder)
        have = {file_hash(path): path for path in folder.glob("*.whl")}
    missing = sorted({wanted[value].name for value in wanted.keys() - have.keys()})
    if missing:
        raise ReleaseError(
            f"not all locked wheels of {', '.join(missing)} could be had. If the package index withdrew "
            "them, run `python scripts/release/wheelhouse.py --lock` and review what changed"
        )
    return tuple(read_wheel_name(have[value]) for value in sorted(wanted, key=lambda value: have[value].name))


def _download(requirements: list[str], folder: Path) -> None:
    """Wheels for every system and Python; one that does not exist somewhere is named and left out there."""

    def attempt(wanted: list[str], platform: str, python: str) -> None:
        options = ["--python-version", python, "--implementation", "cp", "--only-binary=:all:", "--no-deps"]
        tags = [part for tag in PLATFORMS[platform] for part in ("--platform", tag)]
        try:
            pip("download", "-d", str(folder), *options, *tags, *wanted)
        except ReleaseError as error:
            if len(wanted) > 1:
                for single in wanted:
                    attempt([single], platform, python)
            else:
                said = str(error).splitlines()[-1][:120]
                print(f"not available: {wanted[0]} on {platform}, Python {python}: {said}", file=sys.stderr)

    first = ("linux-x86_64", PYTHONS[0])
    attempt(requirements, *first)
    names = {wheel.name for wheel in map(read_wheel_name, folder.glob("*.whl")) if wheel.compiled}
    compiled = [item for item in requirements if normalised(item.partition("==")[0]) in names]
    targets = [(platform, python) for platform in PLATFORMS for python in PYTHONS]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rest = [target for target in targets if target != first]
        list(pool.map(lambda target: attempt(compiled, *target), rest))


def lock() -> None:
    """Resolve the dependencies anew for the oldest Python and write the list.

    Raises:
        ReleaseError: a dependency has no wheel.
    """
    with tempfile.TemporaryDirectory() as scratch:
        resolved = Path(scratch) / "resolved"
        options = ["--python-version", PYTHONS[0], "--only-binary=:all:", "--implementation", "cp"]
        tags = [part for tag in PLATFORMS["linux-x86_64"] for part in ("--platform", tag)]
        pip("download", "-d", str(resolved), *options, *tags, *_dependencies(), *MARKERS)
        wheels = [read_wheel_name(path) for path in resolved.glob("*.whl")]
        versions = {wheel.name: wheel.version for wheel in wheels}
        folder = Path(scratch) / "all"
        folder.mkdir()
        _download([f"{name}=={version}" for name, version in sorted(versions.items())], folder)
        hashes: dict[str, list[str]] = {}
        for path in folder.glob("*.whl"):
            hashes.setdefault(read_wheel_name(path).name, []).append(file_hash(path))
        packages = [Locked(name, versions[name], tuple(values)) for name, values in hashes.items()]
    head = "# Written by scripts/release/wheelhouse.py --lock: what pyz, executable and bundle carry.\n"
    LOCK.write_text(head + lock_text(packages), encoding="utf-8", newline="\n")


def _dependencies() -> list[str]:
    """What pyproject.toml asks for, without conditions."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line.partition(";")[0].strip() for line in project["dependencies"]]


def main() -> int:
    """Fetch, or lock and fetch, and say what there is."""
    try:
        if "--lock" in sys.argv[1:]:
            lock()
        wheels = fetch()
    except ReleaseError as error:
        print(f"wheelhouse: {error}", file=sys.stderr)
        return 1
    size = sum(wheel.path.stat().st_size for wheel in wheels)
    print(f"{len(read_lock())} packages, {len(wheels)} wheels, {size / 1e6:.1f} MB in {CACHE / 'wheels'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
