"""From the judgement of a machine to its document, with every sentence in one language."""

from collections.abc import Mapping, Sequence
from typing import Final

from probe.catalog.preflight import PreflightCheck, preflight_checks
from probe.catalog.vllm_quantization import vllm_quantization
from probe.engines.vllm_command import Flag
from probe.machine import Machine
from probe.machine.server import ServerFacts
from probe.messages import t
from probe.recommender.preflight.alternatives import Alternative
from probe.recommender.preflight.judge import Preflight, Verdict, preflight
from probe.recommender.preflight.nodes import AcrossNodes, across_nodes
from probe.recommender.preflight.serving import Served
from probe.recommender.preflight.situation import Ask, Check
from probe.report.documents_preflight import (
    AcrossServers,
    CheckResult,
    FlagReason,
    MatrixDocument,
    MatrixRow,
    PreflightAlternative,
    PreflightDocument,
    PreflightSetDocument,
    ServedModel,
    Unreadable,
)
from probe.report.encode import sentence

READY: Final = (Verdict.READY.value, Verdict.READY_WITH_WARNINGS.value)


def build_preflight(
    machine: Machine, ask: Ask, *, lang: str, server: ServerFacts | None = None, name: str | None = None
) -> PreflightDocument:
    """`probe preflight`: one engine on one machine.

    Args:
        server: facts of the live system; None for a saved machine.
        name: what to call the machine; None: by its own name.
    """
    return preflight_document(preflight(machine, ask, server), ask, name or machine.host.name, lang)


def build_preflight_set(
    machines: Sequence[Machine], unreadable: Mapping[str, str], ask: Ask, *, lang: str
) -> PreflightSetDocument:
    """`probe preflight --machines`: each saved machine, and the model over several where one is too small.

    Args:
        unreadable: path and reason of the files that are no machine.
    """
    documents = tuple(build_preflight(machine, ask, lang=lang) for machine in machines)
    alone = any(document.verdict in READY for document in documents)
    found = None if alone else across_nodes(machines, ask)
    return PreflightSetDocument(
        engine=documents[0].engine if documents else ask.engine,
        machines=documents,
        unreadable=tuple(Unreadable(path=path, reason=reason) for path, reason in unreadable.items()),
        across=_across(found) if found is not None else None,
    )


def _across(found: AcrossNodes) -> AcrossServers:
    answer = found.answer
    return AcrossServers(
        machines=found.names,
        quantization=found.quantization,
        tensor_parallel=answer.parallel.tp,
        pipeline_parallel=answer.parallel.pp,
        context=answer.plan.request.max_model_len,
        kv_tokens=answer.kv_tokens,
        commands=found.commands,
    )


def preflight_document(made: Preflight, ask: Ask, name: str | None, lang: str) -> PreflightDocument:
    """The judgement with its sentences."""
    rows = {row.id: row for row in preflight_checks()}
    return PreflightDocument(
        engine=made.engine.id,
        machine_name=name,
        target_version=made.release.version if made.release is not None else None,
        verdict=made.verdict.value,
        checks=tuple(_check(check, rows[check.id], lang) for check in made.checks),
        model=_model(made.served, ask),
        command=made.start.lines if made.start is not None else None,
        flags=tuple(_flag(flag, lang) for flag in (made.start.flags if made.start else ())),
        alternatives=tuple(_alternative(one, lang) for one in made.alternatives),
    )


def _check(check: Check, row: PreflightCheck, lang: str) -> CheckResult:
    def say(part: str) -> str:
        return t(f"preflight.{check.id}.{part}", lang, **check.values)

    fix = say(check.fix) if check.fix is not None else None
    if fix is not None and check.cause is not None:
        fix = f"{fix} {sentence(check.cause, lang)}"
    return CheckResult(
        id=check.id,
        title=say("title"),
        result=check.result.value,
        blocking=check.blocking,
        observed=check.observed,
        required=say("needs"),
        fix=fix,
        source=f"{'; '.join(row.source)} ({row.retrieved})",
    )


def _model(made: Served | None, ask: Ask) -> ServedModel | None:
    if made is None or made.answer is None or ask.model is None:
        return None
    answer = made.answer
    return ServedModel(
        id=ask.model.id,
        quantization=made.quantization,
        tensor_parallel=answer.parallel.tp,
        pipeline_parallel=answer.parallel.pp,
        context=made.request.context,
        parallel=made.request.parallel,
        max_context=answer.max_context,
        kv_tokens=answer.kv_tokens,
        concurrency=answer.plan.max_concurrency,
    )


def _flag(flag: Flag, lang: str) -> FlagReason:
    return FlagReason(flag=flag.name, value=flag.value, why=t(flag.why.code, lang, **flag.why.values))


def _alternative(one: Alternative, lang: str) -> PreflightAlternative:
    return PreflightAlternative(
        engine=one.engine,
        version=one.version,
        build=one.build,
        why=" ".join(sentence(reason, lang) for reason in one.why),
        command=one.command,
    )


def build_matrix() -> MatrixDocument:
    """`probe preflight vllm --matrix`: weight formats by GPU generation, as the catalog has them."""
    tables = vllm_quantization()
    return MatrixDocument(
        engine="vllm",
        version=tables.version,
        generations=tables.generation_columns,
        rows=tuple(
            MatrixRow(
                method=row.id,
                name=row.cli,
                min_compute_capability=row.min_cc,
                cells={name: row.support.get(name) for name in tables.generation_columns},
            )
            for row in tables.methods
        ),
    )
