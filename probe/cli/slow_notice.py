"""A line on stderr when work takes longer than a second, so that nobody thinks it hangs."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from probe.cli.console import is_terminal, say
from probe.messages import t

if TYPE_CHECKING:
    from threading import Timer

    from probe.cli.session import Session

_PATIENCE_S: Final = 1.0
_WORKING: Final = "cli.talk.working"
_QUIET: Final = re.compile(r"--quiet|-[a-zA-Z]*q[a-zA-Z]*")


class Watch:
    """What a run is doing now; said once a phase takes longer than a second."""

    def __init__(self, lang: str, *, silent: bool) -> None:
        self._lang = lang
        self._silent = silent
        self._timer: Timer | None = None

    def phase(self, key: str = _WORKING) -> None:
        """Now begins what the message `key` names."""
        self.stop()
        if self._silent:
            return
        from threading import Timer

        self._timer = Timer(_PATIENCE_S, say, args=(t(key, self._lang),))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Say nothing more: the answer is there, or somebody else speaks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def watch_of_run(arguments: Sequence[str], lang: str) -> Watch:
    """A watch that is silent unless a person looks at stderr, and at what `--json` prints."""
    person = is_terminal(sys.stderr) and ("--json" not in arguments or is_terminal(sys.stdout))
    return Watch(lang, silent=not person or any(_QUIET.fullmatch(word) for word in arguments))


@contextmanager
def slow_notice(key: str, session: "Session") -> Iterator[None]:
    """Say the message `key`, once, if the block still runs after a second and a person is watching."""
    if session.watch is None:
        yield
        return
    session.watch.phase(key)
    try:
        yield
    finally:
        session.watch.phase()
