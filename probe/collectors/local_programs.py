"""Running a program so that neither its silence nor its flood can hurt us."""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from probe.collectors.answers import PYTHON, Failure, ProgramOutput
from probe.machine.attempt import AttemptResult

if TYPE_CHECKING:
    from subprocess import Popen

_CHUNK_BYTES = 65536
_CREATE_NO_WINDOW = 0x08000000  # CreateProcess flag: no console window flashes up on Windows


def run_program(arguments: Sequence[str], *, timeout_s: float, limit_bytes: int) -> ProgramOutput | Failure:
    """What the program printed, or why not; it and its children are gone when this returns.

    stdin is closed, output is read to `limit_bytes` (both streams together) and
    decoded here. A child that keeps the pipe open after its parent's death
    cannot hold us: readers are daemon threads with the same deadline.
    """
    import subprocess

    command = list(arguments)
    if command[0] == PYTHON:
        own = own_python(command[1:])
        if own is None:
            return Failure(AttemptResult.SKIPPED, "no Python interpreter of our own to start")
        command = own
    deadline = time.monotonic() + timeout_s
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name == "posix",
            creationflags=_CREATE_NO_WINDOW if os.name == "nt" else 0,
        )
    except FileNotFoundError:
        return Failure(AttemptResult.ABSENT, f"{arguments[0]} is not installed")
    except PermissionError:
        return Failure(AttemptResult.DENIED, f"{arguments[0]} may not be started")
    except (OSError, ValueError) as error:
        return Failure(AttemptResult.FAILED, f"{arguments[0]} could not be started: {error}")

    budget = _Budget(limit_bytes)
    readers = [_Reader(stream, budget, process) for stream in (process.stdout, process.stderr) if stream]
    try:
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    if ended:
        for reader in readers:
            reader.thread.join(max(0.0, deadline - time.monotonic()))
    if not ended or any(reader.thread.is_alive() for reader in readers):
        _kill(process)
        _reap(process, readers)
        if not budget.exceeded:
            return Failure(AttemptResult.TIMEOUT, f"{arguments[0]} did not end within {timeout_s:g} s")
    if budget.exceeded:
        return Failure(AttemptResult.FAILED, f"{arguments[0]} printed more than {limit_bytes} bytes")
    stdout, stderr = (decode(b"".join(reader.chunks)) for reader in readers)
    return ProgramOutput(exit_code=process.returncode, stdout=stdout, stderr=stderr)


def own_python(arguments: Sequence[str]) -> list[str] | None:
    """The command that runs `-m MODULE` or `-c CODE` with the Python and the packages we run on.

    A child inherits neither our sys.path (probe.pyz) nor an interpreter (the single-file executable,
    which starts the modules it carries as `-I FILE`, see scripts/release/executable_main.py). So a
    module is started by its file and needs the standard library alone. None where nothing can run it.
    """
    if not sys.executable:
        return None
    packages = Path(__file__).resolve().parents[2]
    option, what, *rest = arguments
    if option == "-m":
        return [sys.executable, "-I", str(packages.joinpath(*what.split(".")).with_suffix(".py")), *rest]
    if getattr(sys, "frozen", False):
        return None
    return [sys.executable, option, f"import sys; sys.path.append({str(packages)!r})\n{what}", *rest]


def decode(raw: bytes) -> str:
    """Program output as text: UTF-8, else the Windows OEM code page, else with replacement marks.

    PowerShell 5.1 and nvidia-smi print the OEM page (cp949 on Korean Windows).
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = "oem" if os.name == "nt" else "utf-8"
        return raw.decode(encoding, errors="replace")


class _Budget:
    """How many bytes both streams of one program may still bring."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._lock = threading.Lock()
        self.exceeded = False

    def take(self, count: int) -> bool:
        with self._lock:
            self._left -= count
            if self._left < 0:
                self.exceeded = True
            return not self.exceeded


class _Reader:
    """Reads one stream in a daemon thread until its end or the end of the budget."""

    def __init__(self, stream: IO[bytes], budget: _Budget, process: "Popen[bytes]") -> None:
        self._stream = stream
        self.chunks: list[bytes] = []
        self._budget = budget
        self._process = process
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self._stream:  # closed here alone: elsewhere its number could be another file's by then
            self._read_all(self._stream.fileno())

    def _read_all(self, descriptor: int) -> None:
        while True:
            try:
                chunk = os.read(descriptor, _CHUNK_BYTES)
            except OSError:
                return
            if not chunk:
                return
            if not self._budget.take(len(chunk)):
                _kill(self._process)
                return
            self.chunks.append(chunk)


def _kill(process: "Popen[bytes]") -> None:
    """Ends the program and, on POSIX, every child of its session."""
    try:
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (OSError, ProcessLookupError):
        pass


def _reap(process: "Popen[bytes]", readers: "list[_Reader]") -> None:
    """Collects a killed program; one that hangs in the kernel is left behind."""
    import subprocess

    for reader in readers:
        reader.thread.join(0.1)
    try:
        process.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        process.returncode = -signal.SIGKILL if sys.platform != "win32" else 1  # silences Popen's own warning
