"""`probe completion`: the Tab key completes commands, options, models, engines and GPUs."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from probe.cli import options
from probe.cli.completion_scripts import SCRIPTS
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.cli.values import choice
from probe.errors import EXIT_DONE, InputError

Shell = Annotated[
    str | None,
    typer.Argument(metavar="SHELL", parser=choice("SHELL", tuple(SCRIPTS)), help="cli.argument.shell"),
]
Install = Annotated[bool, typer.Option("--install", help="cli.option.install")]
# Windows keeps profiles where only PowerShell knows, so its line is for the user to paste.
_POWERSHELL_LINE: Final = (
    "New-Item -Force -ItemType Directory (Split-Path $PROFILE) | Out-Null; "
    "Add-Content $PROFILE 'probe completion powershell | Out-String | Invoke-Expression'"
)


def completion(
    ctx: typer.Context,
    shell: Shell = None,
    *,
    install: Install = False,
    lang: options.Lang = None,
    quiet: options.Quiet = False,
) -> int:
    """Print the script for a shell, or install it."""
    from probe.cli.console import print_text, say
    from probe.messages import t

    session = session_of(ctx)
    chosen = shell or shell_of(os.environ, sys.platform)
    if chosen is None:
        raise InputError("cli.completion.which_shell")
    if not install:
        print_text(SCRIPTS[chosen])
        return EXIT_DONE
    if chosen == "powershell":
        raise InputError("cli.completion.powershell", line=_POWERSHELL_LINE)
    try:
        script, started_by = install_script(chosen, Path.home(), os.environ)
    except OSError as error:
        raise InputError("cli.output.unwritable", path=str(error.filename)) from error
    if not quiet:
        say(t("cli.talk.written", session.lang, path=str(script)))
        if started_by is not None:
            say(t("cli.completion.line_added", session.lang, path=str(started_by)))
        say(t("cli.completion.new_shell", session.lang))
    return EXIT_DONE


def shell_of(environment: "os._Environ[str] | dict[str, str]", platform: str) -> str | None:
    """The user's shell by name, or None where nothing tells it."""
    name = Path(environment.get("SHELL", "")).name
    if name in SCRIPTS:
        return name
    return "powershell" if platform == "win32" else None


def install_script(
    shell: str, home: Path, environment: "os._Environ[str] | dict[str, str]"
) -> tuple[Path, Path | None]:
    """Write the script where the shell finds it; returns it, and the start file that got a line.

    Twice is the same as once: a line that is there is not added again.

    Raises:
        OSError: a file cannot be written.
    """
    if shell == "fish":
        script = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "fish/completions/probe.fish"
        starter = None
    else:
        data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
        script = data / "probe" / f"completion.{shell}"
        zsh = Path(environment.get("ZDOTDIR") or home) / ".zshrc"
        starter = zsh if shell == "zsh" else home / ".bashrc"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(SCRIPTS[shell], encoding="utf-8", newline="\n")
    if starter is None:
        return script, None
    line = f'[ -r "{script}" ] && . "{script}"'
    old = starter.read_text(encoding="utf-8", errors="surrogateescape") if starter.exists() else ""
    if line in old.splitlines():
        return script, None
    with starter.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"{'' if old.endswith(chr(10)) or not old else chr(10)}{line}\n")
    return script, starter


app = single_command("completion", completion)
