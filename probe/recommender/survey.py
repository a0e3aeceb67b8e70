"""Every catalog model on one machine, each in the quantization to take."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.machine import Machine
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.quantization_choice import best_quantization


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """One model and the best answer for it."""

    spec: ModelSpec
    answer: Estimate


def best_answer(estimator: Estimator, spec: ModelSpec, *, full: bool) -> Estimate:
    """The answer for `spec`: in the asked quantization, else in the one to take."""
    asked = estimator.options.quantization
    if asked is not None:
        return estimator.estimate(spec, asked, full=full)
    chosen = best_quantization(spec, lambda name: estimator.estimate(spec, name, full=False))
    return estimator.estimate(spec, chosen.quantization, full=True) if full else chosen


def survey(machine: Machine, options: Options) -> tuple[Surveyed, ...]:
    """One line per catalog model that a GGUF engine could load at all; order of the catalog."""
    estimator = Estimator(machine, options)
    return tuple(
        Surveyed(spec=spec, answer=best_answer(estimator, spec, full=False)) for spec in all_models()
    )


def largest(lines: tuple[Surveyed, ...], verdicts: tuple[Verdict, ...]) -> Surveyed | None:
    """The largest text model with one of `verdicts`; among equals the faster one."""
    fitting = [
        line
        for line in lines
        if line.answer.verdict in verdicts
        and line.spec.variant != "base"
        and line.answer.speed.decode_tokens_per_s
    ]
    return max(
        fitting,
        key=lambda line: (
            line.spec.params_text or line.spec.params_total or 0,
            line.answer.speed.decode_tokens_per_s.value if line.answer.speed.decode_tokens_per_s else 0.0,
        ),
        default=None,
    )
