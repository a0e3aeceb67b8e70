"""Ray and Ansible in an environment of their own, and an SSH server: what roll-out is tested with.

- ansible-core and ray by pip into .cache/rollout-rig of the checkout (about 90 MB, one minute);
- openssh-server by apt where it is missing (needs root).
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.rig.install_rigs import RigMissingError

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "rollout-rig"
BIN = CACHE / ("Scripts" if os.name == "nt" else "bin")
PACKAGES = ("ansible-core>=2.16", "ray>=2.40")


def rig_python() -> Path | None:
    """The Python that has Ray, or None where the rig is not installed."""
    python = BIN / ("python.exe" if os.name == "nt" else "python")
    return python if python.exists() and (CACHE / "installed").exists() else None


def ssh_server() -> str | None:
    """The path of sshd: it starts only when called by its full path."""
    return shutil.which("sshd") or shutil.which("/usr/sbin/sshd")


def install() -> str:
    """Make the environment; a line about what is there.

    Raises:
        RigMissingError: pip or apt could not deliver.
    """
    if ssh_server() is None:
        apt_install("openssh-server", "openssh-client")
    if rig_python() is None:
        venv.create(CACHE, with_pip=True, clear=True)
        pip = [str(BIN / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *PACKAGES, "-e", str(ROOT)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RigMissingError(f"pip: {done.stderr.strip()[-300:]}")
        (CACHE / "installed").touch()
    return f"{', '.join(PACKAGES)}, sshd at {ssh_server()}"


def apt_install(*packages: str) -> None:
    """Install Debian packages.

    Raises:
        RigMissingError: there is no apt, no root, or no such package.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise RigMissingError(f"{' and '.join(packages)} is missing; needs apt and root")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run([*command, "-y"], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RigMissingError(f"apt-get: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(install())
