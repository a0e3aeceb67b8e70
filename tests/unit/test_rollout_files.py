"""The roll-out files that nothing here can run whole are at least what their systems accept."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLLOUT = Path(__file__).resolve().parents[2] / "scripts" / "rollout"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """The program is not installed here: its path is put in as one that is."""
    for name in ("probe-share.service", "probe-share.timer"):
        text = (ROLLOUT / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/probe/bin/probe", sys.executable), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "probe-share" in line]
    assert ours == []


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((ROLLOUT / name).read_text(encoding="utf-8")))


def test_every_volume_that_kubernetes_mounts_is_declared() -> None:
    claim, daemons = documents("kubernetes.yaml")
    pod = daemons["spec"]["template"]["spec"]
    declared = {volume["name"] for volume in pod["volumes"]}
    mounted = {mount["name"] for container in pod["initContainers"] for mount in container["volumeMounts"]}
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert mounted == declared
    assert claims == {claim["metadata"]["name"]}
    assert daemons["spec"]["selector"]["matchLabels"] == daemons["spec"]["template"]["metadata"]["labels"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_can_read_the_slurm_job() -> None:
    job = ["bash", "-n", str(ROLLOUT / "slurm.sbatch")]
    done = subprocess.run(job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_windows_files_are_what_windows_reads() -> None:
    """cmd.exe loses labels in files with Unix line ends, and has its own idea of other letters."""
    raw = (ROLLOUT / "probe-share.cmd").read_bytes()
    assert raw.isascii()
    assert raw.count(b"\r\n") == raw.count(b"\n") > 20
    assert (ROLLOUT / "Register-ProbeTask.ps1").read_bytes().isascii()


def test_every_option_the_files_use_exists() -> None:
    """A renamed option would be noticed by nobody until a Monday morning."""
    from probe.cli import report

    folder = Path(report.__file__).parent
    sources = "".join((folder / name).read_text(encoding="utf-8") for name in ("report.py", "options.py"))
    known = set(re.findall(r'"(--[a-z-]+)"', sources))
    commands = [
        line
        for path in ROLLOUT.iterdir()
        if path.suffix in {".cmd", ".service", ".sbatch", ".yaml"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if "--share" in line
    ]
    used = {option for line in commands for option in re.findall(r"(?<![\w-])(--[a-z-]+)", line)}
    assert len(commands) >= 4
    assert used - known == set()
