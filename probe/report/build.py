"""Puts the answers for one machine together: the documents every page is rendered from."""

import msgspec

from probe import __version__
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import catalog_date
from probe.errors import InputError
from probe.machine import Machine
from probe.machine.redact import redact
from probe.messages import t
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.companion import companion, companion_spec, estimator_beside
from probe.recommender.engine_verdicts import engine_verdicts
from probe.recommender.estimators import LLAMA_CPP, answer_of, engine_asked
from probe.recommender.findings import Effect, Finding, find_problems
from probe.recommender.fit import Estimator
from probe.recommender.headline import headline, routes
from probe.recommender.memory_modules import with_modules
from probe.recommender.merit import Filters
from probe.recommender.next_step import next_step
from probe.recommender.options import Options
from probe.recommender.rank import Recommendation, rank
from probe.recommender.reserve import with_reserve
from probe.recommender.size_map import size_map
from probe.recommender.stale_catalog import with_stale_catalog
from probe.recommender.survey import Surveyed, best_answer, largest, survey
from probe.recommender.unused_options import with_unused_options
from probe.report.documents import (
    CheckDocument,
    DoctorDocument,
    EffectDocument,
    EngineDocument,
    EstimateDocument,
    FindingDocument,
    ModelLine,
    RecommendationDocument,
    ReportDocument,
    Route,
    SizeMapCell,
    SummaryDocument,
    Tool,
)
from probe.report.encode import (
    check_speed_document,
    draft_document,
    estimate_document,
    estimate_fields,
    sentence,
)
from probe.report.model_index import with_model_index

_STEPS = ((Verdict.COMFORTABLE,), (Verdict.USABLE,), (Verdict.SLOW,))


def named(machine: Machine, options: Options) -> Machine:
    """The machine as a report may carry it: redacted, under the name the user chose."""
    return redact(machine, alias=options.alias, show_host_name=options.show_host_name)


def finding_document(finding: Finding, lang: str) -> FindingDocument:
    """One finding with its four sentences."""

    def say(part: str) -> str:
        return t(f"{_finding_topic(finding)}.{part}", lang, **finding.values)

    return FindingDocument(
        id=finding.id,
        severity=finding.severity.value,
        title=say("title"),
        evidence=say("evidence"),
        detail=say("detail"),
        fix=say("fix"),
        values=finding.values,
        effect=_effect_sentence(finding.effect, lang),
        effect_values=EffectDocument(**msgspec.structs.asdict(finding.effect)) if finding.effect else None,
    )


def _effect_sentence(effect: Effect | None, lang: str) -> str | None:
    """`Qwen3-4B Q4_K_M: 6.1 → 11 tokens a second. Largest size that runs comfortably: 4B → 8B.`"""
    if effect is None:
        return None
    parts = []
    if effect.model is not None:
        values = {
            "model": effect.model,
            "quantization": effect.quantization,
            "before": effect.before_tokens_per_s,
            "after": effect.after_tokens_per_s,
        }
        parts.append(t("findings.effect.speed", lang, **values))
    if effect.largest_after is not None:
        kind = "size" if effect.largest_before is not None else "first_size"
        key = f"findings.effect.{effect.verdict}_{kind}"
        parts.append(t(key, lang, before=effect.largest_before, after=effect.largest_after))
    return " ".join(parts)


def _finding_topic(finding: Finding) -> str:
    """Device states have their sentences in topic `states`, everything else in `findings`."""
    kind, _, code = finding.id.partition(".")
    return f"states.{code}" if kind == "device" and code else f"findings.{finding.id}"


def build_doctor(machine: Machine, *, lang: str) -> DoctorDocument:
    """`probe doctor`: the findings alone."""
    return DoctorDocument(
        findings=tuple(
            finding_document(finding, lang) for finding in find_problems(redact(machine), effects=True)
        )
    )


def build_check(machine: Machine, spec: ModelSpec, options: Options, *, lang: str) -> CheckDocument:
    """`probe check`: one model on one machine."""
    beside = companion(machine, options)
    answer = with_modules(engine_answer(machine, spec, options, beside), machine)
    answer = with_unused_options(with_reserve(answer, options), options)
    return CheckDocument(
        **{**estimate_fields(answer, spec, lang), "speed": check_speed_document(answer)},
        draft=draft_document(answer.draft, lang),
        machine_name=named(machine, options).host.name,
        companion=_companion_document(beside, options, lang),
        memory_range=answer.memory_range,
        not_modeled=tuple(sentence(reason, lang) for reason in answer.not_modeled),
        not_modeled_codes=answer.not_modeled,
    )


def _companion_document(beside: Estimate | None, options: Options, lang: str) -> EstimateDocument | None:
    if beside is None:
        return None
    return estimate_document(beside, companion_spec(options), lang)


def engine_answer(
    machine: Machine, spec: ModelSpec, options: Options, beside: Estimate | None = None
) -> Estimate:
    """The answer of the asked engine; llama.cpp where none was asked.

    Raises:
        UnknownNameError: no such engine, or one whose memory is not computed yet.
    """
    if spec.origin == "onnx":
        from probe.recommender.fit_onnx import OnnxEstimator, refused

        return refused(spec, options) or OnnxEstimator(machine, options).estimate(spec)
    engine = engine_asked(options)
    if options.draft_model is not None:
        from probe.recommender.drafted import drafted_answer

        return drafted_answer(machine, spec, options, engine=engine, beside=beside)
    if engine == LLAMA_CPP:
        return best_answer(estimator_beside(machine, options, beside), spec, full=True)
    if beside is not None:
        raise InputError("answer.with.engine", engine=engine)
    return answer_of(machine, spec, options)


def build_report(machine: Machine, options: Options, *, lang: str, created_at: str) -> ReportDocument:
    """`probe`: everything about one machine."""
    beside = companion(machine, options)
    lines = survey(machine, options, beside)
    estimator = estimator_beside(machine, options, beside)
    comfortable = largest(lines, (Verdict.COMFORTABLE,))
    usable = largest(lines, (Verdict.COMFORTABLE, Verdict.USABLE))
    best = next((found for step in _STEPS if (found := largest(lines, step))), None)
    known = any(line.answer.verdict is not Verdict.UNKNOWN for line in lines)
    keep = Filters(languages=options.languages, commercial_use=options.commercial_use)
    picks = rank(lines, options.purposes, keep)
    cells = size_map(machine, options, beside)
    first = next((Surveyed(spec=pick.spec, answer=pick.answer) for pick in picks if _talks(pick)), best)
    further = next_step(machine, lines, picks)
    top = headline(cells, first, known=known)
    whole = _Whole(estimator)
    report = ReportDocument(
        tool=Tool(name="probe", version=__version__, catalogs=catalog_date()),
        created_at=created_at,
        language=lang,
        machine=named(machine, options),
        findings=tuple(
            finding_document(finding, lang)
            for finding in with_stale_catalog(find_problems(machine), created_at)
        ),
        engines=tuple(
            EngineDocument(
                engine=verdict.engine,
                verdict=verdict.verdict,
                reasons=tuple(sentence(reason, lang) for reason in verdict.reasons),
                reason_codes=verdict.reasons,
            )
            for verdict in engine_verdicts(machine)
        ),
        summary=SummaryDocument(
            headline=" ".join(sentence(part, lang) for part in top),
            headline_codes=top,
            largest_comfortable=whole.document(comfortable, lang),
            largest_usable=whole.document(usable, lang),
            routes=_routes(first, options, lang),
            next_step=tuple(sentence(reason, lang) for reason in further),
            next_step_codes=further,
        ),
        size_map=tuple(
            SizeMapCell(
                size_class=cell.size_class,
                quantization=cell.quantization,
                verdict=cell.answer.verdict,
                decode_tokens_per_s=cell.answer.speed.decode_tokens_per_s,
                total_bytes=cell.answer.memory.total_bytes,
                example=cell.example,
            )
            for cell in cells
        ),
        recommendations=tuple(_recommendation(whole, pick, lang) for pick in picks),
        models=tuple(_line(line) for line in lines),
        api_url=options.api_url,
        purposes=options.purposes,
        companion=_companion_document(beside, options, lang),
    )
    return with_model_index(report)


class _Whole:
    """Answers with the longest context and the command, each computed once: the page names a model twice."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._known: dict[tuple[str, str], Estimate] = {}

    def answer(self, spec: ModelSpec, quantization: str) -> Estimate:
        """The whole answer for `spec` in `quantization`."""
        key = (spec.id, quantization)
        if key not in self._known:
            self._known[key] = self._estimator.estimate(spec, quantization, full=True)
        return self._known[key]

    def document(self, line: Surveyed | None, lang: str) -> EstimateDocument | None:
        """The same as the report writes it."""
        if line is None:
            return None
        return estimate_document(self.answer(line.spec, line.answer.quantization), line.spec, lang)


def _recommendation(whole: _Whole, pick: Recommendation, lang: str) -> RecommendationDocument:
    answer = whole.answer(pick.spec, pick.answer.quantization)
    return RecommendationDocument(
        **estimate_fields(answer, pick.spec, lang),
        rank=pick.rank,
        purpose=pick.purpose,
        role=pick.role,
        also=pick.also,
        quality=pick.quality,
        why=" ".join(sentence(reason, lang) for reason in pick.why),
        why_codes=pick.why,
    )


def _talks(pick: Recommendation) -> bool:
    return pick.answer.speed.decode_tokens_per_s is not None


def _routes(first: Surveyed | None, options: Options, lang: str) -> tuple[Route, ...]:
    return tuple(
        Route(
            route=answer.route,
            verdict=answer.verdict.value,
            text=sentence(answer.reason, lang),
            code=answer.reason,
            example=answer.example,
            address=options.api_url if answer.route == "own_pc" else None,
        )
        for answer in routes(first)
    )


def _line(line: Surveyed) -> ModelLine:
    answer = line.answer
    return ModelLine(
        id=line.spec.id,
        quantization=answer.quantization,
        context=answer.context,
        verdict=answer.verdict,
        decode_tokens_per_s=answer.speed.decode_tokens_per_s,
        total_bytes=answer.memory.total_bytes,
        name=line.spec.name,
        engine=answer.engine,
        placement=answer.placement.kind.value,
        file_bytes=answer.file_bytes,
        time_to_first_token_s=answer.speed.time_to_first_token_s,
    )
