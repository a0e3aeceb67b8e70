"""The table of models as compact data for the page's script, in whole numbers and short lists."""

from typing import Any, Final

from probe.messages import LANGUAGES, t
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.options import PURPOSES
from probe.render.text import clean
from probe.report.model_figures import FigureTable, ModelFigures
from probe.units import GIB

_ORDER: Final = tuple(Verdict)
_WORDS: Final = (
    "name",
    "size",
    "quality",
    "speed",
    "memory",
    "verdict",
    "quantization",
    "count",
    "empty",
    "search_hint",
    "purpose_any",
    "quantization_best",
    "show_runs",
    "show_good",
    "show_all",
)


def table_data(table: FigureTable) -> dict[str, Any]:
    """What models.js reads.

    A model is [name, command name, parameters as a person writes them, parameters, purposes
    with quality, answers]; answers hold one list a context with one entry a quantization:
    0 where the model is not published in it, else [verdict, quantization, tokens/s, GiB].
    """
    names: list[str] = []
    return {
        "contexts": table.contexts,
        "context": table.contexts.index(table.chosen_context),
        "quantizations": table.quantizations,
        "purposes": PURPOSES,
        "verdicts": [verdict.value for verdict in _ORDER],
        "models": [_model(one, names) for one in table.models],
        "names": names,
        "words": {lang: _words(lang, table) for lang in LANGUAGES},
    }


def _model(one: ModelFigures, names: list[str]) -> list[Any]:
    spec = one.spec
    purposes = [
        [PURPOSES.index(purpose), round(quality), int(measured)]
        for purpose, (quality, measured) in one.qualities.items()
    ]
    return [
        clean(spec.name),
        clean(spec.alias or spec.id),
        round((spec.params_total or 0) / 1e6),
        round((spec.params_active or 0) / 1e6),
        purposes,
        [[_answer(answer, names) for answer in answers] for answers in one.answers],
    ]


def _answer(answer: Estimate | None, names: list[str]) -> object:
    if answer is None:
        return 0
    if answer.quantization not in names:
        names.append(answer.quantization)
    speed = answer.speed.decode_tokens_per_s
    total = answer.memory.total_bytes
    return [
        _ORDER.index(answer.verdict),
        names.index(answer.quantization),
        None if speed is None else float(f"{speed.value:.3g}"),
        None if not total else round(total / GIB, 1),
    ]


def _words(lang: str, table: FigureTable) -> dict[str, Any]:
    words: dict[str, Any] = {
        word: t(f"html.models.{word}", lang, shown="{shown}", count="{count}") for word in _WORDS
    }
    words["verdicts"] = [t(f"verdicts.{verdict.value}.word", lang) for verdict in _ORDER]
    words["purposes"] = [t(f"page.purpose.{purpose}", lang) for purpose in PURPOSES]
    words["contexts"] = [t("html.models.context_option", lang, tokens=context) for context in table.contexts]
    words["active"] = t("page.params_active", lang, total="{total}", active="{active}")
    return words
