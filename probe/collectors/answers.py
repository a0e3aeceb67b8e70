"""What a Host gives back: plain values, or a Failure that says how asking ended."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, Union

import msgspec

from probe.machine.attempt import AttemptResult

# JSON and bytes: what a recording can hold. Written as Union because a name in quotes takes no `|` on 3.10.
Plain: TypeAlias = Union[bool, int, float, str, bytes, Sequence["Plain"], Mapping[str, "Plain"], None]  # noqa: UP007
RegistryValue: TypeAlias = int | str | bytes | tuple[str, ...]

PYTHON = "<python>"  # first argument of Host.run for our own interpreter


class UnrecordedRequestError(BaseException):
    """A replayed machine was asked what its recording does not hold.

    Not an Exception: the guard around collectors must not turn it into data.
    """


class Failure(msgspec.Struct, frozen=True):
    """No answer, and why. `detail` is short English; `code` names a sentence of messages topic `states`."""

    result: AttemptResult
    detail: str = ""
    code: str | None = None


class PlatformFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the interpreter itself knows, without asking any file or program."""

    system: str  # linux, windows, macos, or sys.platform of anything else
    architecture: str  # x86_64, aarch64, amd64 is written x86_64, arm64 aarch64
    kernel: str | None = None
    kernel_build: str | None = None
    host_name: str | None = None
    user_name: str | None = None
    home: str | None = None
    python: str | None = None  # 3.12.3
    python_bits: int | None = None
    glibc: str | None = None  # 2.36; None with musl and outside Linux
    windows_build: int | None = None
    logical_cores: int | None = None


class ProgramOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A program that ended by itself."""

    exit_code: int
    stdout: str
    stderr: str = ""


class MemoryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """RAM and swap by the portable library, bytes."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None


class DiskFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Size of the file system that holds a folder, bytes; free is what we may use without being root."""

    total_bytes: int
    free_bytes: int
