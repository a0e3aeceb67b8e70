"""Questions to system libraries by name, so that a recording can hold their answers.

Each row: a question, the function that asks. The function returns plain data or
a Failure and is called only on a live machine.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from probe.collectors.answers import Failure, Plain
from probe.machine.attempt import AttemptResult

# Last parts of sysctl names whose values are text; some are as long as an integer.
_TEXT: Final = frozenset(
    {"brand_string", "vendor", "features", "extfeatures", "leaf7_features", "model", "machine", "targettype"}
)
_Asker = Callable[[Sequence[int | str]], Plain | Failure]


def answer(question: str, arguments: Sequence[int | str]) -> Plain | Failure:
    """The answer to one row; a question of another system is absent, not an error."""
    row = _QUESTIONS.get(question)
    if row is None and sys.platform == "win32":
        from probe.collectors.windows_calls import CALLS

        row = ("win32", CALLS[question]) if question in CALLS else None
    if row is None:
        return Failure(AttemptResult.ABSENT, "no such call on this system")
    system, ask = row
    if not sys.platform.startswith(system):
        return Failure(AttemptResult.ABSENT, "no such call on this system")
    try:
        return ask(arguments)
    except (OSError, AttributeError, ValueError) as error:
        return Failure(AttemptResult.FAILED, f"{type(error).__name__}: {error}")


def sysctl_by_name(name: str) -> int | str | Failure:
    """One macOS sysctl through libc: text for the names in _TEXT, else an integer of 4 or 8 bytes."""
    import ctypes

    libc = ctypes.CDLL(None)
    size = ctypes.c_size_t(0)
    if libc.sysctlbyname(name.encode(), None, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return Failure(AttemptResult.ABSENT, "no such name")
    buffer = ctypes.create_string_buffer(max(1, size.value))
    if libc.sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return Failure(AttemptResult.FAILED, "could not be read")
    raw = buffer.raw[: size.value]
    if size.value in (4, 8) and not name.startswith("kern.") and name.rpartition(".")[2] not in _TEXT:
        return int.from_bytes(raw, sys.byteorder)
    return raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")


def _is_processor_feature_present(arguments: Sequence[int | str]) -> Plain | Failure:
    """kernel32: whether Windows offers an instruction set (39 AVX, 40 AVX2, 41 AVX512F)."""
    import ctypes

    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009 - exists on Windows only, where this is called
    return bool(kernel32.IsProcessorFeaturePresent(int(arguments[0])))


def _drm_memory_regions(arguments: Sequence[int | str]) -> Plain | Failure:
    """The memory of a graphics card by its Linux driver; arguments: driver, render node."""
    from probe.collectors.local_drm import memory_regions

    return memory_regions(arguments)


_QUESTIONS: Final[dict[str, tuple[str, _Asker]]] = {
    "IsProcessorFeaturePresent": ("win32", _is_processor_feature_present),
    "drm_memory_regions": ("linux", _drm_memory_regions),
}
