"""Wrong arguments as one line in the run's language, and the exit code that belongs to it."""

from collections.abc import Iterable, Sequence
from typing import Any

import typer

from probe.cli.values import nearest
from probe.errors import EXIT_OUR_FAULT, EXIT_WRONG_INPUT
from probe.messages import t
from probe.render.text import clean

# typer carries its own click: the base of its complaints about arguments is public only through this child.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def usage_line(error: Any, lang: str, arguments: Sequence[str] = (), commands: Iterable[str] = ()) -> str:
    """The sentence for arguments that typer could not read."""
    context = error.ctx
    if context is not None:
        command = context.command_path
    else:  # the parser does not always say which command it was reading for
        named = next((word for word in arguments if word in set(commands)), None)
        command = f"probe {named}" if named else "probe"
    name = str(getattr(error, "option_name", ""))
    kind = type(error).__name__
    if kind == "NoSuchOption":
        known = (
            [option for parameter in context.command.params for option in parameter.opts] if context else []
        )
        # Without their dashes, which would make all of them look alike.
        words = [option.removeprefix("--") for option in known if option.startswith("--")]
        likely = ", ".join(f"--{word}" for word in nearest(name.lstrip("-"), words))
        key = "cli.usage.no_such_option_near" if likely else "cli.usage.no_such_option"
        values = {"suggestions": likely} if likely else {}
        return clean(t(key, lang, option=name, command=command, **values))
    if kind == "MissingParameter" and error.param is not None:
        missing = error.param.make_metavar(context).strip("[]")
        return clean(t("cli.usage.missing", lang, name=missing, command=command))
    if kind == "BadOptionUsage":
        return clean(t("cli.usage.option_needs_value", lang, option=name, command=command))
    return clean(t("cli.usage.other", lang, detail=error.format_message(), command=command))


def usage_exit_code(error: Any) -> int:
    """2 for wrong arguments, as every tool says it."""
    code = getattr(error, "exit_code", EXIT_WRONG_INPUT)
    return code if code in (0, EXIT_WRONG_INPUT) else EXIT_OUR_FAULT
