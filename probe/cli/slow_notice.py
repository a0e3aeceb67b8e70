"""A line on stderr when work takes longer than a second, so that nobody thinks it hangs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from probe.cli.console import is_terminal, say
from probe.messages import t

_PATIENCE_S: Final = 1.0


@contextmanager
def slow_notice(key: str, lang: str, *, silent: bool) -> Iterator[None]:
    """Say the message `key` once if the block still runs after a second and a person is watching."""
    if silent or not is_terminal(sys.stderr):
        yield
        return
    from threading import Timer

    timer = Timer(_PATIENCE_S, say, args=(t(key, lang),))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
