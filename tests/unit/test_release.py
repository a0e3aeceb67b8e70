"""What is shipped and how: bundles, archives, licences, versions, workflows (what was built: tests/rig)."""

import ast
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from probe.collectors.answers import PYTHON
from probe.collectors.local_programs import own_python, run_program
from scripts.release import executable_main, measure, pyz_main
from scripts.release.build_bundle import build_bundle
from scripts.release.build_pyz import build_pyz
from scripts.release.check_version import package_version, released_versions
from scripts.release.wheelhouse import PYTHONS, ReleaseError, read_lock, read_wheel_name

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "scripts" / "release"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WHEELS = {
    "probe_llm-0.1.0-py3-none-any.whl": "probe/cli/main.py",
    "msgspec-0.22.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": "msgspec/_core.so",
    "msgspec-0.22.0-cp312-cp312-win_amd64.whl": "msgspec/_core.pyd",
    "psutil-7.2.2-cp36-abi3-macosx_11_0_arm64.whl": "psutil/_psutil_osx.abi3.so",
}


def project() -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    loaded: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return loaded


@pytest.fixture()
def wheels(tmp_path: Path) -> list[Path]:
    """Little wheels with names as pip downloads them."""
    made = []
    for name, inside in WHEELS.items():
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(inside, f"content of {inside}")
            packed.writestr(f"{name.partition('-')[0]}-1.dist-info/licenses/LICENSE", "free")
            packed.writestr(f"{name.partition('-')[0]}-1.dist-info/RECORD", "changes with every build")
        made.append(path)
    return made


def test_locked_wheels_are_what_the_package_asks_for() -> None:
    locked = {package.name: package.version for package in read_lock()}
    asked = [Requirement(line) for line in project()["dependencies"]]  # type: ignore[attr-defined]  # a list in TOML
    assert asked
    for requirement in asked:
        assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement


def test_pyz_keeps_compiled_libraries_apart_by_python_and_system(tmp_path: Path, wheels: list[Path]) -> None:
    build_pyz(wheels[0], map(read_wheel_name, wheels[1:]), tmp_path / "probe.pyz")
    with zipfile.ZipFile(tmp_path / "probe.pyz") as archive:
        names = {name for name in archive.namelist() if not name.endswith("LICENSE")}
    assert names == {
        "__main__.py",
        "pyz_main.py",
        "fingerprint",
        "common/probe/cli/main.py",
        "native/cp312-linux-x86_64/msgspec/_core.so",
        "native/cp312-windows-x86_64/msgspec/_core.pyd",
        "native/abi3-macos-aarch64/psutil/_psutil_osx.abi3.so",
    }
    assert (tmp_path / "probe.pyz").read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_pyz_and_bundle_have_the_same_bytes_whenever_they_are_built(
    tmp_path: Path, wheels: list[Path]
) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        build_pyz(wheels[0], map(read_wheel_name, wheels[1:]), folder / "probe.pyz")
        build_bundle(wheels[0], map(read_wheel_name, wheels[1:]), folder / "probe.zip", texts=[])
        made.append([(folder / file).read_bytes() for file in ("probe.pyz", "probe.zip")])
        os.utime(wheels[0])
    assert made[0] == made[1]


@pytest.mark.parametrize("version", [(3, 4), (3, 7)])
def test_old_pythons_can_read_the_sentence_that_refuses_them(version: tuple[int, int]) -> None:
    text = (RELEASE / "pyz_start.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=version)
    assert text.index("sys.exit") < text.index("from pyz_main")
    assert "f'" not in text and 'f"' not in text


@pytest.mark.skipif(sys.platform == "win32", reason="owners and links of POSIX")
def test_pyz_uses_no_folder_that_somebody_else_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyz_main, "own_caches", lambda: [Path("/proc/nowhere")])
    monkeypatch.setattr(pyz_main, "temporary_caches", lambda: [tmp_path / "probe-1"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "probe-1").symlink_to(tmp_path / "elsewhere")
    assert pyz_main.writable_cache() is None
    (tmp_path / "probe-1").unlink()
    assert pyz_main.writable_cache() == tmp_path / "probe-1" / "probe-pyz"
    assert (tmp_path / "probe-1").stat().st_mode & 0o777 == 0o700


def test_children_start_where_neither_path_nor_interpreter_is_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """probe.pyz knows its packages only in its own process, the executable has no interpreter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    answer = run_program([PYTHON, "-m", "probe.collectors.cuda_child"], timeout_s=30, limit_bytes=10_000)
    assert getattr(answer, "exit_code", answer) == 0
    command = own_python(["-m", "probe.collectors.cuda_child", "context"])
    assert command is not None
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert own_python(["-m", "probe.collectors.cuda_child", "context"]) == command
    assert own_python(["-c", "print()"]) is None


def test_executable_knows_every_child_that_probe_starts() -> None:
    children = {(path.parent.name, path.name) for path in (ROOT / "probe").rglob("*_child.py")}
    assert set(executable_main.CHILDREN) == children
    for (folder, file), module in executable_main.CHILDREN.items():
        assert module == f"probe.{folder}.{file.removesuffix('.py')}"


def test_bundle_can_be_checked_file_by_file(tmp_path: Path, wheels: list[Path]) -> None:
    build_bundle(
        wheels[0], map(read_wheel_name, wheels[1:]), tmp_path / "probe.zip", texts=[ROOT / "LICENSE"]
    )
    with zipfile.ZipFile(tmp_path / "probe.zip") as archive:
        files = {name.removeprefix("probe/"): archive.read(name) for name in archive.namelist()}
        assert archive.getinfo("probe/install.sh").external_attr >> 16 == 0o755
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert {"install.cmd", "install.sh", "README.txt", "LICENSE", "requirements.txt"} <= set(files)
    requirements = files["requirements.txt"].decode()
    assert (
        f"probe-llm==0.1.0 \\\n    --hash=sha256:{hashlib.sha256(wheels[0].read_bytes()).hexdigest()}"
        in requirements
    )
    assert "tomli==" in requirements and 'python_version < "3.11"' in requirements


def test_install_scripts_suit_the_systems_that_run_them(tmp_path: Path, wheels: list[Path]) -> None:
    build_bundle(wheels[0], [], tmp_path / "probe.zip", texts=[])
    with zipfile.ZipFile(tmp_path / "probe.zip") as archive:
        command, shell = archive.read("probe/install.cmd"), archive.read("probe/install.sh")
        readme = archive.read("probe/README.txt").decode("utf-8-sig")
    command.decode("ascii")  # read in whatever code page the console has
    assert command.count(b"\n") == command.count(b"\r\n") > 20
    assert b"\r" not in shell
    readme.encode("cp949")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_install_script_names_a_damaged_file_and_a_missing_python(tmp_path: Path, wheels: list[Path]) -> None:
    build_bundle(wheels[0], [], tmp_path / "probe.zip", texts=[])
    with zipfile.ZipFile(tmp_path / "probe.zip") as archive:
        archive.extractall(tmp_path)
    (tmp_path / "probe/requirements.txt").write_text("evil==1.0\n", encoding="utf-8")
    for python, words in ((sys.executable, "damaged"), ("no-such-python", "no Python 3.10 to 3.14 found")):
        done = subprocess.run(
            ["sh", str(tmp_path / "probe/install.sh"), str(tmp_path / "target")],
            env={**os.environ, "PYTHON": python},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "target").exists()


def test_table_goes_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{measure.BEGIN}\nold\n{measure.END}\nafter\n", encoding="utf-8")
    measure.write_table(page, "new\n")
    assert page.read_text(encoding="utf-8") == f"before\n{measure.BEGIN}\nnew\n{measure.END}\nafter\n"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ReleaseError, match="has no lines"):
        measure.write_table(page, "new\n")


def test_licence_list_is_regenerated_not_edited() -> None:
    command = [sys.executable, str(RELEASE / "licences.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_changelog_names_the_version_that_is_built() -> None:
    assert package_version() == released_versions()[0]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.index("## [Unreleased]") < text.index(f"## [{package_version()}]")
    headings = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert headings <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_workflows_obey_the_schema_of_workflows() -> None:
    assert {path.name for path in WORKFLOWS} == {"release.yml", "tests.yml"}
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run(
        [*command, *map(str, WORKFLOWS)], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout


def test_workflow_runs_the_two_commands_of_the_readme_everywhere() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"]["readme"]
    matrix = job["strategy"]["matrix"]
    assert tuple(matrix["python"]) == PYTHONS
    assert {name.partition("-")[0] for name in matrix["system"]} == {"ubuntu", "windows", "macos"}
    commands = " ".join(step.get("run", "") for step in job["steps"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for script in ("scripts/run.py", "scripts/test.py"):
        assert f"python3 {script}" in readme
        assert f"python {script}" in commands


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_do_no_more_than_they_need(path: Path) -> None:
    """Read-only by default, a time limit on every job, actions pinned to a version."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 90, name
        assert all("@v" in step["uses"] for step in job["steps"] if "uses" in step), name
