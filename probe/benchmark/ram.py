"""RAM bandwidth that the usable cores really get, without compiler or numpy.

The C library's own loops do the work: `memchr` for a byte that does not occur reads a
buffer once, `memcmp` of equal buffers reads two, `memmove` reads one and writes the other.
ctypes releases the interpreter's lock during a call, so threads run at the same time.
Buffers are far larger than the caches and written before they are read: an untouched
page is the one shared zero page and would be read from cache.
"""

import contextlib
import ctypes
import mmap
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

MIB: Final = 1024 * 1024
CHUNK_BYTES: Final = 128 * MIB  # of one thread, twice
SMALLEST_CHUNK_BYTES: Final = 16 * MIB
LARGEST_SHARE_OF_FREE: Final = 4  # at most a quarter of what is free
PASS_SECONDS: Final = 0.15
BUSY_LOAD: Final = 0.25  # of the usable cores, taken by others
BUSY_SPREAD: Final = 1.3  # best run against worst run


class Runs(NamedTuple):
    """Bytes a second of several runs: the best, and how far they lay apart."""

    low: float
    best: float
    runs: int

    @property
    def spread(self) -> float:
        """Best over worst."""
        return self.best / self.low if self.low else 1.0


class RamResult(NamedTuple):
    """What was measured, and whether the machine was busy with something else."""

    read: Runs
    copy: Runs  # bytes read plus bytes written
    read_one_core: Runs
    threads: int
    other_load: float | None  # share of the usable cores that other programs took before we began

    @property
    def busy(self) -> bool:
        """Other programs ran, or the runs differ so much that some must have."""
        loaded = self.other_load is not None and self.other_load > BUSY_LOAD
        return loaded or self.read.spread > BUSY_SPREAD


Kernel = Callable[["_Buffers"], int]  # works through the buffers once, returns the bytes moved
Progress = Callable[[str, float], None]  # what is being measured, share done


class _Library:
    """The three functions of the C library, with their argument types."""

    def __init__(self) -> None:
        library: Any = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
        self.memchr = library.memchr
        self.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        self.memchr.restype = ctypes.c_void_p
        self.memcmp = library.memcmp
        self.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        self.memcmp.restype = ctypes.c_int
        self.memmove = library.memmove
        self.memmove.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        self.memmove.restype = ctypes.c_void_p
        self.memset = library.memset
        self.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        self.memset.restype = ctypes.c_void_p


class _Buffers:
    """Two equal blocks of one thread, touched by that thread so that they lie near its core."""

    def __init__(self, library: _Library, size: int) -> None:
        self.library = library
        self.size = size
        self._maps = [mmap.mmap(-1, size), mmap.mmap(-1, size)]
        self._views = [ctypes.c_char.from_buffer(block) for block in self._maps]
        self.first, self.second = (ctypes.addressof(view) for view in self._views)
        for block in self._maps:
            advice = getattr(mmap, "MADV_HUGEPAGE", None)
            if advice is not None:
                with contextlib.suppress(OSError):
                    block.madvise(advice)
        for address in (self.first, self.second):
            library.memset(address, 1, size)

    def close(self) -> None:
        """Give the memory back."""
        self._views.clear()
        for block in self._maps:
            block.close()


def _scan(buffers: _Buffers) -> int:
    buffers.library.memchr(buffers.first, 0, buffers.size)
    buffers.library.memchr(buffers.second, 0, buffers.size)
    return 2 * buffers.size


def _compare(buffers: _Buffers) -> int:
    buffers.library.memcmp(buffers.first, buffers.second, buffers.size)
    return 2 * buffers.size


def _copy(buffers: _Buffers) -> int:
    buffers.library.memmove(buffers.second, buffers.first, buffers.size)
    return 2 * buffers.size


def measure_ram(
    threads: int,
    *,
    free_bytes: int | None = None,
    other_load: float | None = None,
    runs: int = 6,
    progress: Progress | None = None,
) -> RamResult:
    """Read and copy bandwidth over `threads` threads, and read bandwidth of one.

    Args:
        threads: one for each usable core.
        free_bytes: memory free now; a quarter of it is used at most.
        other_load: share of the usable cores that other programs take, for the result.
        runs: of each kind; the best counts, as everything else on a machine only slows it.
    """
    library = _Library()
    size = _chunk_bytes(threads, free_bytes)
    tell = progress or (lambda _what, _share: None)
    tell("ram", 0.0)
    one = _Team(library, 1, size)
    try:
        single = _best_of((one.run(_scan, runs), one.run(_compare, runs)))
    finally:
        one.close()
    tell("ram", 0.3)
    team = _Team(library, threads, size)
    try:
        scan = team.run(_scan, runs)
        tell("ram", 0.55)
        compare = team.run(_compare, runs)
        tell("ram", 0.8)
        copy = team.run(_copy, runs)
    finally:
        team.close()
    tell("ram", 1.0)
    return RamResult(_best_of((scan, compare)), copy, single, threads, other_load)


def _chunk_bytes(threads: int, free_bytes: int | None) -> int:
    if free_bytes is None:
        return CHUNK_BYTES
    room = free_bytes // LARGEST_SHARE_OF_FREE // (2 * threads)
    return max(SMALLEST_CHUNK_BYTES, min(CHUNK_BYTES, room // MIB * MIB))


def _best_of(kinds: Sequence[Runs]) -> Runs:
    """The fastest way of reading: which one that is differs between C libraries."""
    return max(kinds, key=lambda runs: runs.best)


class _Team:
    """Threads that start each pass together."""

    def __init__(self, library: _Library, threads: int, size: int) -> None:
        self._buffers: list[_Buffers | None] = [None] * threads
        workers = [
            threading.Thread(target=self._allocate, args=(library, size, index), daemon=True)
            for index in range(threads)
        ]
        _run_all(workers)
        if any(buffers is None for buffers in self._buffers):
            self.close()
            raise MemoryError

    def _allocate(self, library: _Library, size: int, index: int) -> None:
        with contextlib.suppress(OSError, MemoryError):
            self._buffers[index] = _Buffers(library, size)

    def run(self, kernel: Kernel, runs: int) -> Runs:
        """Several timed passes of all threads; the first, untimed one warms up."""
        once = self._pass(kernel, 1)[0]
        repeats = max(1, round(PASS_SECONDS / once)) if once > 0 else 1
        rates = []
        for _ in range(runs):
            seconds, moved = self._pass(kernel, repeats)
            rates.append(moved / seconds)
        return Runs(min(rates), max(rates), runs)

    def _pass(self, kernel: Kernel, repeats: int) -> tuple[float, int]:
        start = threading.Barrier(len(self._buffers))
        spans: list[tuple[float, float]] = []
        moved: list[int] = []

        def work(buffers: _Buffers) -> None:
            start.wait()
            began = time.perf_counter()
            total = sum(kernel(buffers) for _ in range(repeats))
            spans.append((began, time.perf_counter()))
            moved.append(total)

        _run_all(
            [
                threading.Thread(target=work, args=(buffers,), daemon=True)
                for buffers in self._buffers
                if buffers is not None
            ]
        )
        return max(end for _, end in spans) - min(begin for begin, _ in spans), sum(moved)

    def close(self) -> None:
        """Give the memory back."""
        for buffers in self._buffers:
            if buffers is not None:
                buffers.close()
        self._buffers = []


def _run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
