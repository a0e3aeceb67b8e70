"""What may stand next on a command line: commands, options, and the values an option or argument takes.

A shell's completion calls `probe __complete WORDS... :WORD`: the words before the
cursor, and behind a colon the one that is being typed. The answer is lines: first
what else the shell should offer itself (`none`, `files`, `folders`), then one
candidate a line with a tab before its explanation.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from probe.cli.completion_scripts import SCRIPTS
from probe.cli.session import Session
from probe.messages import has, t

NONE, FILES, FOLDERS = "none", "files", "folders"
_CONTEXTS: Final = ("4k", "8k", "16k", "32k", "64k", "128k")
_CHANGES: Final = ("ram=", "channels=", "gpu=")
_MAKER: Final = re.compile(r"^(NVIDIA (GeForce )?|AMD |Intel |Apple )| \(\d+-core GPU\)$")


class Candidate(NamedTuple):
    """One word that may stand here."""

    word: str
    says: str = ""


class Answer(NamedTuple):
    """Candidates, and what the shell should offer itself beside them."""

    candidates: tuple[Candidate, ...] = ()
    beside: str = NONE


def _models() -> Iterable[str]:
    from probe.api.models import use_own_models
    from probe.catalog.models import all_models

    use_own_models()
    return (model.alias or model.id for model in all_models())


def _engines() -> Iterable[str]:
    from probe.catalog.engines import all_engines

    return (engine.id for engine in all_engines())


def _gpus() -> Iterable[str]:
    from probe.catalog.gpus import all_gpus

    return (_MAKER.sub("", gpu.name) for gpu in all_gpus())


def _quantizations() -> Iterable[str]:
    from probe.catalog.quantizations import all_checkpoint_formats, all_recipes

    return (*(row.name for row in all_recipes()), *(row.name for row in all_checkpoint_formats()))


def _kv_types() -> Iterable[str]:
    from probe.catalog.quantizations import kv_cache_types

    return (row.name for row in kv_cache_types("llama.cpp"))


_Names = Callable[[], Iterable[str]]
_OPTIONS: Final[Mapping[str, tuple[_Names | Sequence[str], str]]] = {
    "--engine": (_engines, NONE),
    "--quant": (_quantizations, NONE),
    "--kv-type": (_kv_types, NONE),
    "--with": (_models, FILES),
    "--draft": (_models, FILES),
    "--model": (_models, FILES),
    "--as": (_gpus, NONE),
    "--context": (_CONTEXTS, NONE),
    "--sequence": (_CONTEXTS, NONE),
    "--what-if": (_CHANGES, NONE),
    "--machine": ((), FILES),
    "--output": ((), FILES),
    "--llama-bench": ((), FILES),
    "--machines": ((), FOLDERS),
    "--share": ((), FOLDERS),
    "--record": ((), FOLDERS),
}
_DIVIDERS: Final = {"--as": ";", "--what-if": ";"}
_ARGUMENTS: Final[Mapping[str, tuple[_Names | Sequence[str], str]]] = {
    "MODEL": (_models, FILES),
    "ENGINE": (_engines, NONE),
    "NAME": (lambda: (*_models(), *_gpus()), NONE),
    "SHELL": (tuple(SCRIPTS), NONE),
    "DIR": ((), FOLDERS),
    "PATH": ((), FILES),
    "A": ((), FILES),
    "B": ((), FILES),
}


def completions(app: Any, words: Sequence[str], lang: str) -> Answer:
    """The candidates for the last of `words`, which may be empty."""
    import typer

    before, typed = _plain_words(words)
    command: Any = typer.main.get_command(app)
    context = command.make_context("probe", [], resilient_parsing=True, obj=Session(lang=lang))
    names: list[str] = []  # arguments of the command so far
    waiting: Any = None  # the option whose value comes next
    for word in before:
        if waiting is not None:
            waiting = None
            continue
        option = _option(command, word.partition("=")[0]) if word.startswith("-") else None
        if option is not None:
            waiting = None if option.is_flag or "=" in word else option
        elif not word.startswith("-"):
            below = command.get_command(context, word) if hasattr(command, "get_command") else None
            if below is None:
                names.append(word)
            else:
                command, names = below, []
                context = command.make_context(word, [], parent=context, resilient_parsing=True)
    if waiting is not None:
        return _values(waiting, typed)
    if typed.startswith("--") and "=" in typed:
        spelled, _, begun = typed.partition("=")
        option = _option(command, spelled)
        return Answer() if option is None else _values(option, begun, f"{spelled}=")
    if typed.startswith("-"):
        return Answer(tuple(_starting(typed, _option_rows(command, context, lang))))
    if hasattr(command, "list_commands") and not names:
        rows = (Candidate(name, _says(f"cli.summary.{_prefix(context)}{name}", lang))
                for name in command.list_commands(context))  # fmt: skip
        return Answer(tuple(_starting(typed, rows)))
    places = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    if len(names) >= len(places):
        return Answer()
    source, beside = _ARGUMENTS.get(places[len(names)].metavar, ((), NONE))
    return Answer(tuple(_starting(typed, map(Candidate, _list(source)))), beside)


def _plain_words(words: Sequence[str]) -> tuple[list[str], str]:
    """Words as the program would get them: bash hands over quotes, and parts of `--x=y` one by one."""
    plain: list[str] = []
    for word in words:
        bare = word.replace("\\", "") if word[:1] not in ("'", '"') else word[1:].rstrip(word[0])
        if bare == "=" and plain:
            continue
        plain.append(bare)
    if words and words[-1] == "=":
        plain.append("")
    return plain[:-1], plain[-1] if plain else ""


def _option(command: Any, spelled: str) -> Any:
    for parameter in command.params:
        if parameter.param_type_name == "option" and spelled in (*parameter.opts, *parameter.secondary_opts):
            return parameter
    return None


def _option_rows(command: Any, context: Any, lang: str) -> Iterable[Candidate]:
    for parameter in command.get_params(context):
        if parameter.param_type_name == "option" and not parameter.hidden:
            key = "cli.option.help" if "--help" in parameter.opts else parameter.help
            for spelled in (*parameter.opts, *parameter.secondary_opts):
                if spelled.startswith("--"):
                    yield Candidate(spelled, _says(key, lang))


def _values(option: Any, begun: str, written: str = "") -> Answer:
    """Values of an option; of a list (`coding,korean`) or a machine in words, the part being typed."""
    reader = getattr(option.type, "func", None)
    source, beside = _OPTIONS.get(option.opts[0], (getattr(reader, "known", ()), NONE))
    divider = _DIVIDERS.get(option.opts[0], "," if getattr(reader, "several", False) else None)
    head = ""
    if divider is not None and divider in begun:
        head, _, rest = begun.rpartition(divider)
        begun = rest.lstrip()
        head += divider + (" " if divider == ";" else "")
    rows = (Candidate(f"{written}{head}{name}") for name in _list(source) if _begins(name, begun))
    return Answer(tuple(rows), beside)


def _list(source: _Names | Sequence[str]) -> Iterable[str]:
    return dict.fromkeys(source() if callable(source) else source)


def _begins(name: str, begun: str) -> bool:
    return name.lower().startswith(begun.lower())


def _starting(begun: str, rows: Iterable[Candidate]) -> Iterable[Candidate]:
    return (row for row in rows if _begins(row.word, begun))


def _prefix(context: Any) -> str:
    return "" if context.parent is None else f"{context.info_name}_"


def _says(key: str | None, lang: str) -> str:
    return t(key, lang) if key and has(key, lang) else ""


def answer_text(answer: Answer) -> str:
    """The answer as lines."""
    rows = (f"{word}\t{says}" if says else word for word, says in answer.candidates)
    return "\n".join((answer.beside, *rows)) + "\n"
