"""Puts the answers for one machine together: the documents every page is rendered from."""

from probe import __version__
from probe.catalog.engines import find_engine
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import catalog_date
from probe.errors import UnknownNameError
from probe.machine import Machine
from probe.machine.redact import redact
from probe.messages import t
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.engine_verdicts import engine_verdicts
from probe.recommender.findings import Finding, find_problems
from probe.recommender.fit import ENGINE as LLAMA_CPP
from probe.recommender.fit import Estimator
from probe.recommender.fit_vllm import ENGINE as VLLM
from probe.recommender.fit_vllm import VllmEstimator
from probe.recommender.headline import headline, routes
from probe.recommender.options import Options
from probe.recommender.rank import Recommendation, rank
from probe.recommender.size_map import size_map
from probe.recommender.survey import Surveyed, best_answer, largest, survey
from probe.report.documents import (
    CheckDocument,
    DoctorDocument,
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
from probe.report.encode import estimate_document, estimate_fields, sentence
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
    )


def _finding_topic(finding: Finding) -> str:
    """Device states have their sentences in topic `states`, everything else in `findings`."""
    kind, _, code = finding.id.partition(".")
    return f"states.{code}" if kind == "device" and code else f"findings.{finding.id}"


def build_doctor(machine: Machine, *, lang: str) -> DoctorDocument:
    """`probe doctor`: the findings alone."""
    return DoctorDocument(
        findings=tuple(finding_document(finding, lang) for finding in find_problems(machine))
    )


def build_check(machine: Machine, spec: ModelSpec, options: Options, *, lang: str) -> CheckDocument:
    """`probe check`: one model on one machine."""
    answer = engine_answer(machine, spec, options)
    return CheckDocument(
        **estimate_fields(answer, spec, lang), machine_name=named(machine, options).host.name
    )


def engine_answer(machine: Machine, spec: ModelSpec, options: Options) -> Estimate:
    """The answer of the asked engine; llama.cpp where none was asked.

    Raises:
        UnknownNameError: no such engine, or one whose memory is not computed yet.
    """
    engine = find_engine(options.engine).id if options.engine is not None else LLAMA_CPP
    if engine == LLAMA_CPP:
        return best_answer(Estimator(machine, options), spec, full=True)
    if engine == VLLM:
        estimator = VllmEstimator(machine, options)
        if options.quantization is None:
            return estimator.best(spec)
        return estimator.estimate(spec, options.quantization)
    raise UnknownNameError("answer.engine.not_computed", engine, (LLAMA_CPP, VLLM))


def build_report(machine: Machine, options: Options, *, lang: str, created_at: str) -> ReportDocument:
    """`probe`: everything about one machine."""
    lines = survey(machine, options)
    estimator = Estimator(machine, options)
    comfortable = largest(lines, (Verdict.COMFORTABLE,))
    usable = largest(lines, (Verdict.COMFORTABLE, Verdict.USABLE))
    best = next((found for step in _STEPS if (found := largest(lines, step))), None)
    known = any(line.answer.verdict is not Verdict.UNKNOWN for line in lines)
    picks = rank(lines, options.purposes)
    cells = size_map(machine, options)
    first = Surveyed(spec=picks[0].spec, answer=picks[0].answer) if picks else best
    top = headline(cells, first, known=known)
    report = ReportDocument(
        tool=Tool(name="probe", version=__version__, catalogs=catalog_date()),
        created_at=created_at,
        language=lang,
        machine=named(machine, options),
        findings=build_doctor(machine, lang=lang).findings,
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
            largest_comfortable=_whole(estimator, comfortable, lang),
            largest_usable=_whole(estimator, usable, lang),
            routes=_routes(best, options, lang),
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
        recommendations=tuple(_recommendation(estimator, pick, lang) for pick in picks),
        models=tuple(_line(line) for line in lines),
        api_url=options.api_url,
    )
    return with_model_index(report)


def _whole(estimator: Estimator, line: Surveyed | None, lang: str) -> EstimateDocument | None:
    if line is None:
        return None
    answer = estimator.estimate(line.spec, line.answer.quantization, full=True)
    return estimate_document(answer, line.spec, lang)


def _recommendation(estimator: Estimator, pick: Recommendation, lang: str) -> RecommendationDocument:
    answer = estimator.estimate(pick.spec, pick.answer.quantization, full=True)
    return RecommendationDocument(
        **estimate_fields(answer, pick.spec, lang),
        rank=pick.rank,
        purpose=pick.purpose,
        quality=pick.quality,
        why=" ".join(sentence(reason, lang) for reason in pick.why),
        why_codes=pick.why,
    )


def _routes(best: Surveyed | None, options: Options, lang: str) -> tuple[Route, ...]:
    return tuple(
        Route(
            route=answer.route,
            verdict=answer.verdict.value,
            text=sentence(answer.reason, lang),
            code=answer.reason,
            example=answer.example,
            address=options.api_url if answer.route == "own_pc" else None,
        )
        for answer in routes(best)
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
