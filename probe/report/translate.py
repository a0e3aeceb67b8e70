"""A finished report in the other language, its sentences made anew from their codes."""

from typing import Any

import msgspec

from probe.messages import has, t
from probe.messages.reason import Reason
from probe.report.documents import (
    CheckDocument,
    DraftDocument,
    EngineDocument,
    EstimateDocument,
    FindingDocument,
    RecommendationDocument,
    ReportDocument,
    Route,
)
from probe.report.encode import sentence

_replace = msgspec.structs.replace


def report_in(report: ReportDocument, lang: str) -> ReportDocument:
    """The same report with every sentence in `lang`; no figure changes.

    A code that this version does not know (a report written by a newer one) keeps
    the sentence it came with.
    """
    if report.language == lang:
        return report
    summary = report.summary
    return _replace(
        report,
        language=lang,
        companion=_maybe(report.companion, lang),
        findings=tuple(_finding(finding, lang) for finding in report.findings),
        engines=tuple(_engine(engine, lang) for engine in report.engines),
        summary=_replace(
            summary,
            headline=_joined(summary.headline_codes, lang, summary.headline),
            largest_comfortable=_maybe(summary.largest_comfortable, lang),
            largest_usable=_maybe(summary.largest_usable, lang),
            routes=tuple(_route(route, lang) for route in summary.routes),
            next_step=_all(summary.next_step_codes, lang, summary.next_step),
        ),
        recommendations=tuple(_recommendation(one, lang) for one in report.recommendations),
    )


def check_in(check: CheckDocument, lang: str) -> CheckDocument:
    """The same answer for one model with its sentences in `lang`."""
    return _replace(
        check,
        companion=_maybe(check.companion, lang),
        not_modeled=_all(check.not_modeled_codes, lang, check.not_modeled),
        draft=_draft(check.draft, lang),
        **_sentences(check, lang),
    )


def _sentences(estimate: EstimateDocument, lang: str) -> dict[str, Any]:
    return {
        "reasons": _all(estimate.reason_codes, lang, estimate.reasons),
        "alternatives": tuple(_replace(other, **_sentences(other, lang)) for other in estimate.alternatives),
    }


def _draft(draft: DraftDocument | None, lang: str) -> DraftDocument | None:
    return None if draft is None else _replace(draft, notes=_all(draft.note_codes, lang, draft.notes))


def _maybe(estimate: EstimateDocument | None, lang: str) -> EstimateDocument | None:
    return None if estimate is None else _replace(estimate, **_sentences(estimate, lang))


def _recommendation(one: RecommendationDocument, lang: str) -> RecommendationDocument:
    return _replace(one, why=_joined(one.why_codes, lang, one.why), **_sentences(one, lang))


def _engine(engine: EngineDocument, lang: str) -> EngineDocument:
    return _replace(engine, reasons=_all(engine.reason_codes, lang, engine.reasons))


def _route(route: Route, lang: str) -> Route:
    return route if route.code is None else _replace(route, text=_joined((route.code,), lang, route.text))


def _finding(finding: FindingDocument, lang: str) -> FindingDocument:
    topic = finding_topic(finding.id)
    try:
        return _replace(
            finding,
            **{
                part: t(f"{topic}.{part}", lang, **finding.values)
                for part in ("title", "evidence", "detail", "fix")
            },
        )
    except (KeyError, ValueError):
        return finding


def finding_topic(finding_id: str) -> str:
    """Device states have their sentences in topic `states`, everything else in `findings`."""
    kind, _, code = finding_id.partition(".")
    return f"states.{code}" if kind == "device" and code else f"findings.{finding_id}"


def _all(codes: tuple[Reason, ...], lang: str, known: tuple[str, ...]) -> tuple[str, ...]:
    try:
        made = tuple(sentence(code, lang) for code in codes)
    except (KeyError, ValueError):
        return known
    return made or known


def _joined(codes: tuple[Reason, ...], lang: str, known: str) -> str:
    if not all(has(code.code, lang) for code in codes):
        return known
    return " ".join(_all(codes, lang, (known,)))
