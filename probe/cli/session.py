"""What every command of one run shares: the language and how much to talk."""

from typing import NamedTuple, cast

import typer


class Session(NamedTuple):
    """One run of the program."""

    lang: str
    verbose: bool = False


def session_of(context: typer.Context) -> Session:
    """The session that `main` handed to the command line parser."""
    return cast(Session, context.find_root().obj)
