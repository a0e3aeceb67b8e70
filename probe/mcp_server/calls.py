"""Calls that cannot hold each other up: each in a thread of its own, with a time limit.

A thread that hangs in a driver or on a dead share cannot be ended; it is left
behind, and its place is free again. One that still computes after its time is
told to stop. One whose caller has changed its mind ends by itself: stopping it in
the middle of an import would spoil that module for the others.
"""

import asyncio
import ctypes
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from probe.errors import ProbeError

_T = TypeVar("_T")
# main ends the process without waiting for threads of this name.
_THREAD: Final = "probe: "


class AbandonedError(BaseException):
    """Raised inside a thread whose caller has gone; no guard of collectors catches it."""


class Calls:
    """Runs work in threads, `at_once` of them; after `most_left` hang, new work is refused."""

    def __init__(self, *, timeout_s: float, at_once: int = 4, most_left: int = 16) -> None:
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(at_once)
        self._most_left = most_left
        self._left: set[threading.Thread] = set()

    async def run(self, name: str, work: Callable[[], _T]) -> _T:
        """What `work` returns or raises.

        Raises:
            ProbeError: it took longer than the limit, or too many calls hang already.
        """
        async with self._places:
            self._left = {thread for thread in self._left if thread.is_alive()}
            if len(self._left) >= self._most_left:
                raise ProbeError("mcp.too_many_hang", count=len(self._left))
            loop = asyncio.get_running_loop()
            future: asyncio.Future[_T] = loop.create_future()
            thread = threading.Thread(
                target=_work, args=(loop, future, work), name=f"{_THREAD}{name}", daemon=True
            )
            thread.start()
            try:
                return await asyncio.wait_for(future, self._timeout_s)
            except asyncio.TimeoutError as error:  # the built-in one from Python 3.11 on
                if not future.cancelled():  # the work's own, from a file share
                    raise
                _stop(thread)
                raise ProbeError("mcp.took_too_long", tool=name, limit_s=self._timeout_s) from error
            finally:
                if future.cancelled():
                    self._left.add(thread)


def _work(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", work: Callable[[], Any]) -> None:
    try:
        result = work()
    except AbandonedError:
        return
    except Exception as error:
        _tell(loop, future, partial(future.set_exception, error))
    else:
        _tell(loop, future, partial(future.set_result, result))


def _tell(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", say: Callable[[], object]) -> None:
    """Hand the outcome over, if anybody still waits for it."""

    def arrive() -> None:
        if not future.done():
            say()

    try:
        loop.call_soon_threadsafe(arrive)
    except RuntimeError:  # the server has ended
        return


def _stop(thread: threading.Thread) -> None:
    """Ask the interpreter to raise in the thread as soon as it runs Python again."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(AbandonedError)
        )
