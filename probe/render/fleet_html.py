"""The group's dashboard as one HTML file: the page's sections, and a table of machines to filter and sort."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from probe.messages import LANGUAGES, t
from probe.recommender.answer import Verdict
from probe.render.figures import verdict_word
from probe.render.fleet_page import fleet_page
from probe.render.fleet_words import processors, short_name, wish_words
from probe.render.html import Figure, render_html
from probe.render.page import Page
from probe.render.text import clean
from probe.report.fleet_documents import FleetDocument, FleetMachine

_ORDER: Final = tuple(Verdict)
_LETTERS: Final = {verdict.value: letter for verdict, letter in zip(_ORDER, "cusn?", strict=True)}
_WORDS: Final = (
    "search_hint",
    "any",
    "with_gpu",
    "without_gpu",
    "model_any",
    "show_runs",
    "show_usable",
    "show_comfortable",
    "nothing",
)
_PRINTED: Final = 60
# Who looks at more machines than this asks for CSV; a page of 20 MB opens on no phone.
MACHINES_WITH_MODELS: Final = 3000


def fleet_html(documents: Mapping[str, FleetDocument], lang: str) -> str:
    """The dashboard, opening in `lang`.

    Args:
        documents: the group's answer in every language; in `lang`, `models` must be filled,
            except of more than MACHINES_WITH_MODELS machines.
    """
    pages = {one: _ordered(fleet_page(documents[one], one, machines_shown=_PRINTED)) for one in LANGUAGES}
    document = documents[lang]
    return render_html(
        pages,
        lang,
        figures=(Figure(template="fleet.html", after="ladder", values={}),),
        styles=("report.css", "fleet.css"),
        scripts=("fleet.js",),
        data=dashboard_data(document),
    )


def _ordered(page: Page) -> Page:
    """What was asked and what must be done come before the lists."""
    first = ("asked", "what_if", "ladder", "servers")
    by_id = {section.id: section for section in page.sections}
    chosen = [by_id[name] for name in first if name in by_id]
    rest = [section for section in page.sections if section.id not in first]
    return msgspec.structs.replace(page, sections=(*chosen, *rest))


def dashboard_data(document: FleetDocument) -> dict[str, Any]:
    """What fleet.js reads: machines, and for each model one letter and one speed a machine."""
    machines = document.machines
    models = (
        [model for model in document.models if model.runs_on] if len(machines) <= MACHINES_WITH_MODELS else []
    )
    models.sort(key=lambda model: short_name(model.id).casefold())
    letters: dict[str, list[str]] = {machine.host: ["n"] * len(models) for machine in machines}
    speeds: dict[str, list[float | None]] = {machine.host: [None] * len(models) for machine in machines}
    for at, model in enumerate(models):
        for entry in model.runs_on:
            letters[entry.host][at] = _LETTERS[entry.verdict]
            speed = entry.decode_tokens_per_s
            speeds[entry.host][at] = None if speed is None else float(f"{speed.value:.3g}")
    systems = sorted({_family(machine) for machine in machines})
    return {
        "machines": [_machine(one, letters[one.host], speeds[one.host], systems) for one in machines],
        "models": [clean(short_name(model.id)) for model in models],
        "systems": [clean(system) for system in systems],
        "verdicts": [verdict.value for verdict in _ORDER],
        "words": {lang: _words(lang) for lang in LANGUAGES},
    }


def _family(machine: FleetMachine) -> str:
    """`Windows 11` and `Windows 10` are one choice."""
    return (machine.system or "-").split(" ")[0]


def _machine(
    machine: FleetMachine, letters: list[str], speeds: list[float | None], systems: list[str]
) -> dict[str, Any]:
    largest = machine.largest_comfortable or machine.largest_usable
    best = Verdict.UNKNOWN
    if machine.has_models:
        best = (
            Verdict.COMFORTABLE
            if machine.largest_comfortable
            else Verdict.USABLE
            if machine.largest_usable
            else Verdict.SLOW
            if "s" in letters
            else Verdict.NO
        )
    speed = largest.decode_tokens_per_s if largest else None
    wish = machine.wish
    served = wish is not None and wish.route == "shared_server" and wish.servers
    return {
        "host": clean(machine.host),
        "hardware": {lang: clean(processors(machine, lang)) for lang in LANGUAGES},
        "gpu": any(gpu.usable for gpu in machine.gpus),
        "system": systems.index(_family(machine)),
        "ram": None if machine.ram_bytes is None else round(machine.ram_bytes / 2**30),
        "largest": clean(largest.name) if largest else None,
        "params": largest.params_total if largest else None,
        "speed": None if speed is None else float(f"{speed.value:.3g}"),
        "best": _ORDER.index(best),
        "verdicts": "".join(letters) if machine.has_models else "",
        "speeds": speeds if machine.has_models else [],
        "wish": {lang: clean(wish_words(wish, lang)) for lang in LANGUAGES} if wish else None,
        "address": clean(wish.servers[0].address or "") if wish and served else "",
        "age": machine.age_days,
        "stale": machine.stale,
    }


def _words(lang: str) -> dict[str, Any]:
    words: dict[str, Any] = {word: t(f"fleet.html.{word}", lang) for word in _WORDS}
    words["count"] = t("fleet.html.count", lang, shown="{shown}", count="{count}")
    words["verdicts"] = [verdict_word(verdict, lang) for verdict in _ORDER]
    words["today"] = t("fleet.word.today", lang)
    words["ahead"] = t("fleet.word.ahead", lang)
    words["days"] = t("fleet.word.days_ago", lang, count="{count}")
    return words
