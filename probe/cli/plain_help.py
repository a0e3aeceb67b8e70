"""Help in the run's language, without rich: a screen of plain text that costs no start-up time."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup

from probe.cli.console import width
from probe.cli.rare_options import RARE_IN_REPORT, RARE_OPTIONS
from probe.cli.session import session_of
from probe.cli.values import nearest
from probe.errors import InputError, UnknownNameError
from probe.messages import has, t
from probe.render.text import cell_width, pad, wrap

HELP_NAMES: Final[dict[str, Any]] = {"help_option_names": ["--help", "-h"]}
_MAX_WIDTH: Final = 100
_LEFT_LIMIT: Final = 22
_NO_BREAK: Final = "\0"  # holds an option and its value on one line
_EXAMPLE_GAP: Final = "   "  # parts an example from what it brings
_Rows = list[tuple[str, str]]


def _translated(key: str | None, lang: str) -> str:
    return t(key, lang) if key and has(key, lang) else key or ""


def _summary(name: str, lang: str) -> str:
    """What a command answers, short enough for a line of the list."""
    if has(f"cli.summary.{name}", lang):
        return t(f"cli.summary.{name}", lang)
    return _translated(f"cli.command.{name}", lang).partition(". ")[0].rstrip(".")


def _spelling(parameter: Any) -> str:
    """`-o, --output PATH`; for flags with a counterpart `--x/--no-x`."""
    short = [option for option in parameter.opts if not option.startswith("--")]
    long = [option for option in parameter.opts if option.startswith("--")]
    names = ", ".join([*short, *long])
    if parameter.secondary_opts:
        names = f"{names}/{'/'.join(parameter.secondary_opts)}"
    metavar = None if parameter.is_flag else parameter.metavar
    return f"{names} {metavar}" if metavar else names


def _listed(rows: Iterable[tuple[str, str]], columns: int) -> list[str]:
    """Left and right column; a left entry too long for its column gets a line of its own."""
    rows = list(rows)
    widths = [cell_width(left) for left, _ in rows]
    left_width = max((width for width in widths if width <= _LEFT_LIMIT), default=_LEFT_LIMIT)
    lines = []
    for left, right in rows:
        text = wrap(right, max(columns - left_width - 4, 20))
        if cell_width(left) > left_width:
            lines.append(f"  {left}")
        else:
            lines.append(f"  {pad(left, left_width)}  {text.pop(0)}".rstrip())
        lines += [f"  {' ' * left_width}  {line}" for line in text]
    return lines


def _examples(text: str, columns: int) -> list[str]:
    """Commands with what they bring beside them, or below them where the line is too narrow."""
    pairs = [line.partition(_EXAMPLE_GAP)[::2] for line in text.strip().splitlines()]
    left_width = max(cell_width(example) for example, _ in pairs)
    beside = all(left_width + cell_width(brings.strip()) + 4 <= columns for _, brings in pairs)
    lines = []
    for example, brings in pairs:
        if beside or not brings.strip():
            lines.append(f"  {pad(example, left_width)}  {brings.strip()}".rstrip())
        else:
            lines += [f"  {example}", *(f"      {line}" for line in wrap(brings.strip(), columns - 6))]
    return lines


def help_text(command: Any, context: typer.Context, commands: _Rows) -> str:
    """The help page of one command: what it answers, its options, examples.

    One screen: options that few people need are only named, unless the run
    is verbose.
    """
    session = session_of(context)
    lang = session.lang
    columns = min(width(), _MAX_WIDTH)
    arguments: _Rows = []
    options: _Rows = []
    rare: list[str] = []
    places: list[str] = []
    rare_options = RARE_OPTIONS | RARE_IN_REPORT if context.parent is None else RARE_OPTIONS
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument":
            name = parameter.make_metavar(context).strip("[]")
            arguments.append((name, _translated(parameter.help, lang)))
            places.append(name if parameter.required else f"[{name}]")
        elif not parameter.hidden:
            key = "cli.option.help" if "--help" in parameter.opts else parameter.help
            if session.verbose or not rare_options.intersection(parameter.opts):
                options.append((_spelling(parameter), _translated(key, lang)))
            elif "--help" not in parameter.opts:
                rare.append(_spelling(parameter).replace(", ", "/").replace(" ", _NO_BREAK))
    usage = context.command_path
    if commands:
        usage += f" [{t('cli.help.command', lang)}]"
    usage = " ".join([usage, *places, f"[{t('cli.help.options', lang)}]"])
    lines = [*wrap(_translated(command.help, lang), columns), "", f"{t('cli.help.usage', lang)}: {usage}"]
    for title, rows in (("arguments", arguments), ("commands", commands), ("options", options)):
        if rows:
            lines += ["", f"{t(f'cli.help.{title}_title', lang)}:", *_listed(rows, columns)]
    if rare:
        title = t("cli.help.more_title", lang)
        named = wrap(", ".join(rare), columns - 2)
        lines += ["", f"{title}:", *(f"  {line}".replace(_NO_BREAK, " ") for line in named)]
    if command.epilog and has(command.epilog, lang):
        lines += ["", f"{t('cli.help.examples_title', lang)}:"]
        lines += _examples(t(command.epilog, lang), columns)
    return "\n".join(lines)


class PlainCommand(TyperCommand):
    """A command with our help, which refuses what it does not understand by name."""

    allow_extra_args = True  # to name the extra argument ourselves, in the run's language

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return help_text(self, ctx, [])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer, but an argument too many is named.

        Raises:
            InputError: more arguments than the command takes.
        """
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            raise InputError("cli.usage.extra_argument", text=ctx.args[0], command=ctx.command_path)
        return rest


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is called, not before."""

    modules: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, without importing anything."""
        return [*self.modules, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its module imported now."""
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        return typer.main.get_command(import_module(self.modules[cmd_name]).app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names.

        Raises:
            UnknownNameError: there is no such command; near ones are suggested.
        """
        command = self.get_command(ctx, args[0])
        if command is None:
            if ctx.parent is None and _is_model(args[0]):
                raise InputError("cli.usage.model_for_command", name=args[0], command=ctx.command_path)
            likely = nearest(args[0], [*self.list_commands(ctx), "--help"])
            key = "cli.usage.no_such_command_near" if likely else "cli.usage.no_such_command"
            raise UnknownNameError(key, args[0], likely, command=ctx.command_path)
        return args[0], command, args[1:]

    def get_help(self, ctx: Any) -> str:
        """The help page with the commands, none of them imported."""
        lang = session_of(ctx).lang
        prefix = "" if ctx.parent is None else f"{ctx.info_name}_"
        rows = [(name, _summary(f"{prefix}{name}", lang)) for name in self.list_commands(ctx)]
        return help_text(self, ctx, rows)


def _is_model(name: str) -> bool:
    """Whether somebody wrote a model where a command stands, as in `probe qwen3-8b`."""
    from probe.api.models import model_of

    try:
        model_of(name)
    except InputError:
        return False
    return True


CommandFunction = Callable[..., int]


def single_command(name: str, function: CommandFunction) -> typer.Typer:
    """The typer application of one command; help and examples are the messages `cli.command.<name>`."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(
        name=name,
        cls=PlainCommand,
        help=f"cli.command.{name}",
        epilog=f"cli.example.{name}",
        context_settings=HELP_NAMES,
    )(function)
    return app
