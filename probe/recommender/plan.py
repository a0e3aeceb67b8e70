"""What hardware runs a model: of each kind the smallest that is comfortable, and why not the one before."""

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.model_spec import ModelSpec
from probe.catalog.plan_machines import machine_groups
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.estimators import LLAMA_CPP, engine_asked, estimator_for
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.quantization_choice import ANCHOR, native_only
from probe.recommender.survey import best_answer

_RANK = {
    Verdict.COMFORTABLE: 4,
    Verdict.USABLE: 3,
    Verdict.SLOW: 2,
    Verdict.UNKNOWN: 1,
    Verdict.NO: 0,
}


class PlanOption(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of hardware: the machine to take, its answer, and what fails on the next smaller one."""

    group: str
    machine: str
    answer: Estimate
    smaller: str | None = None
    smaller_answer: Estimate | None = None


def _good_enough(answer: Estimate, wanted_tokens_per_s: float | None) -> bool:
    if answer.verdict is not Verdict.COMFORTABLE:
        return False
    decode = answer.speed.decode_tokens_per_s
    return wanted_tokens_per_s is None or (decode is not None and decode.value >= wanted_tokens_per_s)


def plan(
    spec: ModelSpec, options: Options, *, wanted_tokens_per_s: float | None = None
) -> tuple[PlanOption, ...]:
    """One option per group, the groups in which nothing runs the model left out.

    Without an asked quantization every machine is judged at Q4_K_M or the model's own
    form, so that machines are compared at the same quality; an engine that does not load
    GGUF files takes the best of its formats. Where no machine of a group is comfortable,
    the smallest with the group's best verdict is shown; where a speed was asked, the fastest.

    Args:
        wanted_tokens_per_s: a decode speed that must be reached besides the verdict.

    Raises:
        UnknownNameError: no such engine, or one whose memory is not computed yet.
    """
    chosen = []
    for group in machine_groups():
        answers = [(machine, _answer(machine, spec, options)) for machine in group.machines]
        index = next(
            (place for place, (_, answer) in enumerate(answers) if _good_enough(answer, wanted_tokens_per_s)),
            None,
        )
        if index is None:
            index = _second_best([answer for _, answer in answers], wanted_tokens_per_s)
            if _RANK[answers[index][1].verdict] <= _RANK[Verdict.UNKNOWN]:
                continue
        machine, answer = answers[index]
        before = answers[index - 1] if index else (None, None)
        chosen.append(
            PlanOption(
                group=group.id,
                machine=machine,
                answer=answer,
                smaller=before[0],
                smaller_answer=before[1],
            )
        )
    return tuple(chosen)


def _second_best(answers: list[Estimate], wanted_tokens_per_s: float | None) -> int:
    if wanted_tokens_per_s is not None:
        return max(range(len(answers)), key=lambda place: _order(answers[place]))
    return max(range(len(answers)), key=lambda place: _RANK[answers[place].verdict])  # the first of equals


def _order(answer: Estimate) -> tuple[int, float]:
    decode = answer.speed.decode_tokens_per_s
    return _RANK[answer.verdict], decode.value if decode else 0.0


def _answer(machine: str, spec: ModelSpec, options: Options) -> Estimate:
    found = enrich(from_spec(machine))
    if engine_asked(options) != LLAMA_CPP:
        # Machines are compared at one context, not at what a front end would take on each.
        same = msgspec.structs.replace(options, context_asked=True, parallel_asked=True)
        other = estimator_for(found, same)
        return other.estimate(spec, options.quantization) if options.quantization else other.best(spec)
    estimator = Estimator(found, options)
    if options.quantization is not None:
        return best_answer(estimator, spec, full=False)
    only = native_only(spec)
    return estimator.estimate(spec, only[0] if only else ANCHOR, full=False)


def why_not(option: PlanOption) -> tuple[Reason, ...]:
    """What fails on the next smaller machine of the group; empty when this is the smallest."""
    return option.smaller_answer.reasons if option.smaller_answer is not None else ()
