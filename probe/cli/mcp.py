"""`probe mcp`: answer agents over the Model Context Protocol on stdin and stdout."""

import os
import signal
import sys
from typing import Final

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.errors import EXIT_DONE, EXIT_INTERRUPTED, InputError

_SDK: Final = "mcp>=2.3,<3"


def mcp(ctx: typer.Context, *, lang: options.Lang = None, verbose: options.Verbose = False) -> int:
    """Serve until the client closes our stdin; reads only."""
    session_of(ctx).stop_watch()  # a server waits for hours
    lang = session_of(ctx).lang
    sys.dont_write_bytecode = True  # not even compiled modules
    try:
        import anyio

        from probe.mcp_server.server import serve
    except ImportError as error:
        raise _missing(error) from error
    from probe.cli.console import is_terminal, say
    from probe.messages import t

    if is_terminal(sys.stdin):
        say(t("mcp.waiting", lang))
    # The SDK reads stdin in a thread that nothing interrupts: waiting for it would make Ctrl+C do nothing.
    signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
    anyio.run(serve, lang)
    return EXIT_DONE


def _missing(error: ImportError) -> InputError:
    """The extra is not installed, or an older SDK with other names is."""
    if getattr(sys, "frozen", False):
        return InputError("mcp.not_in_this_build", detail=str(error))
    return InputError("mcp.not_installed", command=f'"{sys.executable}" -m pip install "{_SDK}"')


app = single_command("mcp", mcp)
