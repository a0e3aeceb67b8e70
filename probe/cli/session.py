"""What every command of one run shares: the language and how much to talk."""

from typing import TYPE_CHECKING, NamedTuple, Optional, cast

if TYPE_CHECKING:
    import typer

    from probe.cli.slow_notice import Watch


class Session(NamedTuple):
    """One run of the program."""

    lang: str
    verbose: bool = False
    watch: Optional["Watch"] = None

    def stop_watch(self) -> None:
        """The answer begins, or the command speaks for itself: nothing more is said about waiting."""
        if self.watch is not None:
            self.watch.stop()


def session_of(context: "typer.Context") -> Session:
    """The session that `main` handed to the command line parser."""
    return cast(Session, context.find_root().obj)
