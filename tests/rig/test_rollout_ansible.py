"""The playbook over real SSH: two hosts on loopback, one that is off; reports come back to the controller."""

import getpass
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe.fleet.scan import scan_folder
from tests.fakes.patience import wait_until
from tests.rig.rollout_rig import BIN, ROOT, rig_python, ssh_server

PYTHON = rig_python()
SSHD = ssh_server()
pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(
        PYTHON is None or SSHD is None or sys.platform == "win32",
        reason="NO ANSIBLE OR SSHD HERE: run tests/rig/install_rigs.py rollout",
    ),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip download` brings to a closed network: our wheel and all it needs."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [
        str(PYTHON),
        "-m",
        "pip",
        "wheel",
        "-q",
        "--disable-pip-version-check",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(pip, check=True, timeout=900)
    return folder


def start_server(folder: Path, name: str) -> tuple[subprocess.Popen[bytes], int]:
    """An SSH server on loopback that lets one key in; its own state folder makes it a machine of its own."""
    for _ in range(5):
        port = free_port()
        server = listening(folder, name, port)
        if server is not None:
            return server, port
    raise AssertionError(f"sshd does not listen: {(folder / f'{name}.log').read_text(encoding='utf-8')}")


def listening(folder: Path, name: str, port: int) -> subprocess.Popen[bytes] | None:
    """The server once it listens; None where another program took the port in between."""
    config = folder / f"{name}.conf"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile {folder}/{name}.pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin yes\n"
        f"Subsystem sftp internal-sftp\nSetEnv XDG_STATE_HOME={folder}/{name}-state\n",
        encoding="utf-8",
    )
    log = folder / f"{name}.log"
    with log.open("wb") as said:
        server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=said)
    words = f"Server listening on 127.0.0.1 port {port}"
    assert wait_until(
        lambda: words in log.read_text(encoding="utf-8", errors="replace") or server.poll() is not None
    )
    return server if server.poll() is None else None


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two SSH servers and one host that is off, as an inventory."""
    folder = tmp_path_factory.mktemp("ssh")
    folder.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    servers = {name: start_server(folder, name) for name in ("desk-1", "server")}
    nobody = socket.socket()  # holds a port on which nothing listens
    nobody.bind(("127.0.0.1", 0))
    ports = {name: port for name, (_, port) in servers.items()} | {"off": nobody.getsockname()[1]}
    common = (
        f"ansible_user={getpass.getuser()} ansible_ssh_private_key_file={folder}/user "
        f"ansible_python_interpreter={PYTHON} ansible_host=127.0.0.1 "
        "ansible_ssh_common_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        "-o ConnectTimeout=60 -o ControlMaster=no'"
    )
    extra = {"server": "api_url=http://10.0.0.9:8000"}
    (folder / "hosts.ini").write_text(
        "".join(
            f"{name} ansible_port={port} probe_home={folder}/{name} {extra.get(name, '')} {common}\n"
            for name, port in ports.items()
        ),
        encoding="utf-8",
    )
    yield folder / "hosts.ini"
    for server, _ in servers.values():
        server.terminate()
        server.wait(timeout=60)
    nobody.close()


def test_reports_of_all_hosts_that_answer_come_back(inventory: Path, wheels: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    done = subprocess.run(
        [
            str(BIN / "ansible-playbook"), "-i", str(inventory), str(ROOT / "scripts/rollout/playbook.yml"),
            "-e", f"report_folder={reports}", "-e", f"wheels={wheels}", "-e", f"probe_python={PYTHON}",
        ],
        env={
            **os.environ,
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_TIMEOUT": "60",
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )  # fmt: skip
    assert "unreachable=1" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
    fleet = scan_folder(reports)
    assert fleet.unreadable == ()
    assert sorted((member.name, member.api_url) for member in fleet.members) == [
        ("desk-1", None),
        ("server", "http://10.0.0.9:8000"),
    ]
    assert all(member.lines is not None for member in fleet.members)
