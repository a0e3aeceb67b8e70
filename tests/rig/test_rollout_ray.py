"""A running Ray cluster describes its nodes, one of which stops answering meanwhile."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from probe.fleet.scan import scan_folder
from tests.rig.rollout_rig import ROOT, rig_python

PYTHON = rig_python()
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(PYTHON is None, reason="NO RAY HERE: run tests/rig/install_rigs.py rollout"),
]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("cluster") / "machines"
    done = subprocess.run(
        [
            str(PYTHON),
            str(ROOT / "tests/rig/ray_cluster.py"),
            str(ROOT / "scripts/rollout/ray_scan.py"),
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        timeout=600,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]), folder


def test_every_living_node_has_its_file_and_the_dead_one_a_reason(
    scanned: tuple[dict[str, Any], Path],
) -> None:
    said, folder = scanned
    assert sorted(path.name.rpartition("-")[0] for path in folder.iterdir()) == ["alpha", "beta", "head"]
    assert said["code"] == 1
    assert said["stderr"].startswith("no answer from dying: ")


def test_nodes_on_one_computer_stay_several_machines(scanned: tuple[dict[str, Any], Path]) -> None:
    """Equal hardware, one home folder, one address: still three nodes to whoever reads the folder."""
    fleet = scan_folder(scanned[1])
    assert fleet.unreadable == ()
    assert [member.name for member in fleet.members] == ["alpha", "beta", "head"]
    assert all(member.hardware.ram_bytes for member in fleet.members)
