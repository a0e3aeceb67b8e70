"""Install the heavy rigs that this system can have: `python tests/rig/install_rigs.py [NAME ...]`.

Each rig runs something real that no fake can stand for. What cannot be installed
is named loudly and its tests are skipped by name; the exit code is 0 all the same.
"""

import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Name -> module with install(); it raises RigMissingError, or returns a line about what is there now.
RIGS = {
    "llama.cpp": "tests.rig.llama_cpp_rig",  # a prebuilt llama.cpp and a small model, about 130 MB
    "chromium": "tests.rig.chromium_rig",  # the browser itself, about 600 MB of Debian packages
    "windows": "tests.rig.windows_rig",  # Wine with the real Windows CPython, about 1 GB under .cache/
    "rollout": "tests.rig.rollout_rig",  # Ray, Ansible and an SSH server, about 300 MB, one minute
    "release": "tests.rig.release_rig",  # every artefact, built; about 150 MB, two minutes
    "shells": "tests.rig.shells_rig",  # zsh and fish, ten seconds
}
# Only when asked for by name: minutes under Wine.
ON_REQUEST = {"windows-executable": "tests.rig.windows_executable_rig"}


class RigMissingError(RuntimeError):
    """This rig cannot be had here; the text says why and what would help."""


def main(names: list[str]) -> int:
    """Install the named rigs, or all; always 0, so that the tests run and say what was skipped."""
    sys.path.insert(0, str(ROOT))
    for name in names or list(RIGS):
        started = time.monotonic()
        try:
            install: Callable[[], str] = import_module({**RIGS, **ON_REQUEST}[name]).install
            said = install()
        except Exception as error:  # whatever it is: the other rigs and the tests go on
            if type(error).__name__ != "RigMissingError":
                traceback.print_exc()
            print(f"\n{'!' * 88}\n!! RIG MISSING: {name}: {error}\n{'!' * 88}\n", flush=True)
        else:
            print(f"rig {name}: ready after {time.monotonic() - started:.0f} s, {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
