"""`probe plan --json` and `probe plan --upgrade --json`."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.machine import Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Verdict
from probe.recommender.options import Options
from probe.recommender.plan import plan, why_not
from probe.recommender.upgrade import upgrades
from probe.report.documents import SCHEMA_VERSION, MemoryDocument, ModelSummary, SpeedDocument
from probe.report.encode import memory_document, model_summary, sentence, speed_document


class PlanOptionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of hardware that runs the model. `machine` is in the words of `--as`."""

    group: str
    machine: str
    engine: str
    quantization: str
    verdict: Verdict
    memory: MemoryDocument
    speed: SpeedDocument
    reasons: tuple[str, ...]
    smaller_machine: str | None
    why_not_smaller: tuple[str, ...]


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="plan"):
    """What hardware runs a model."""

    schema_version: str = SCHEMA_VERSION
    model: ModelSummary
    context: int
    parallel: int
    options: tuple[PlanOptionDocument, ...]


class ChangeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One change to a machine and what it gains (points over the size classes)."""

    id: str
    text: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    gain: float
    codes: tuple[Reason, ...]


class UpgradeDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="upgrade"):
    """What one change would make possible here."""

    schema_version: str = SCHEMA_VERSION
    machine_name: str | None
    changes: tuple[ChangeDocument, ...]


def build_plan(
    spec: ModelSpec, options: Options, *, lang: str, wanted_tokens_per_s: float | None
) -> PlanDocument:
    """The plan with its sentences."""
    return PlanDocument(
        model=model_summary(spec),
        context=options.context,
        parallel=options.parallel,
        options=tuple(
            PlanOptionDocument(
                group=option.group,
                machine=option.machine,
                engine=option.answer.engine,
                quantization=option.answer.quantization,
                verdict=option.answer.verdict,
                memory=memory_document(option.answer.memory, option.answer.rule_of_thumb_bytes),
                speed=speed_document(option.answer.speed, option.answer.context),
                reasons=tuple(sentence(reason, lang) for reason in option.answer.reasons),
                smaller_machine=option.smaller,
                why_not_smaller=tuple(sentence(reason, lang) for reason in why_not(option)),
            )
            for option in plan(spec, options, wanted_tokens_per_s=wanted_tokens_per_s)
        ),
    )


def build_upgrade(machine: Machine, options: Options, *, lang: str) -> UpgradeDocument:
    """The upgrades with their sentences, best first."""
    return UpgradeDocument(
        machine_name=machine.host.name,
        changes=tuple(
            ChangeDocument(
                id=change.id,
                text=sentence(change.what, lang),
                before=tuple(sentence(reason, lang) for reason in change.before),
                after=tuple(sentence(reason, lang) for reason in change.after),
                gain=round(change.gain, 2),
                codes=(change.what, *change.before, *change.after),
            )
            for change in upgrades(machine, options)
        ),
    )
