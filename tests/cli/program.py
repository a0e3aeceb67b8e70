"""Runs the program as a user does: a process of its own, bytes in and out."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    """What came back."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8")

    @property
    def talk(self) -> str:
        return self.stderr.decode("utf-8")


def run_probe(
    *arguments: str,
    folder: Path,
    encoding: str = "utf-8",
    before: Sequence[str] = (),
    **environment: str,
) -> Outcome:
    """`probe ARGUMENTS` in `folder`, with a state folder of its own and English unless told otherwise."""
    process = subprocess.run(
        [*before, sys.executable, "-m", "probe", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": encoding,
            "XDG_STATE_HOME": str(folder / ".state"),
            "HOME": str(folder),
            "LANG": "en_US.UTF-8",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=240,
        check=False,
    )
    return Outcome(process.returncode, process.stdout, process.stderr)
