"""What fixes would change, in tokens a second and model size, by the estimator of every page."""

from itertools import product
from typing import Final

import msgspec

from probe.catalog.models import find_model
from probe.catalog.size_classes import size_classes
from probe.machine import Machine
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.doctor.finding import Effect, Finding
from probe.recommender.doctor.remedies import before_and_after
from probe.recommender.fit import Estimator
from probe.recommender.options import Options

_MOST_FINDINGS: Final = 5  # each costs two dozen estimates
_TELLING: Final = 1.05  # a smaller gain is within any estimate's band
_PLEASANT: Final = (Verdict.COMFORTABLE, Verdict.USABLE)


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """One size class on one machine."""

    size_class: str
    model: str
    dense: bool
    answer: Estimate


def with_effects(machine: Machine, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings, those with a known remedy with what it would change; the first few only."""
    now: tuple[_Step, ...] | None = None
    found = []
    left = _MOST_FINDINGS
    for finding in findings:
        states = before_and_after(machine, finding) if left else None
        if states is None:
            found.append(finding)
            continue
        left -= 1
        before, after = states
        if before is machine:
            now = now or _ladder(machine)
            effect = _compared(now, _ladder(after))
        else:
            effect = _compared(_ladder(before), _ladder(after))
        found.append(msgspec.structs.replace(finding, effect=effect))
    return tuple(found)


def _ladder(machine: Machine) -> tuple[_Step, ...]:
    """The map's size classes at its smallest quantization level."""
    classes = size_classes()
    estimator = Estimator(machine, Options(context=classes.context))
    recipe = classes.level[0].recipe
    steps = []
    for size in classes.size:
        spec = find_model(size.model)
        steps.append(
            _Step(
                size_class=size.size_class,
                model=spec.name,
                dense=not size.size_class.endswith("MoE"),
                answer=estimator.estimate(spec, recipe, full=False),
            )
        )
    return tuple(steps)


def _compared(before: tuple[_Step, ...], after: tuple[_Step, ...]) -> Effect | None:
    effect = Effect()
    # Mixtures come last: one may run where a smaller dense model does not.
    for dense in (True, False):
        gain = _gain(before, after, dense=dense)
        if gain is not None:
            effect = gain
            break
    for verdicts, dense in product(((Verdict.COMFORTABLE,), _PLEASANT), (True, False)):
        largest_before = _largest(before, verdicts, dense=dense)
        largest_after = _largest(after, verdicts, dense=dense)
        if largest_after is not None and largest_after != largest_before:
            effect = msgspec.structs.replace(
                effect,
                verdict=verdicts[-1].value,
                largest_before=largest_before,
                largest_after=largest_after,
            )
            break
    return None if effect == Effect() else effect


def _gain(before: tuple[_Step, ...], after: tuple[_Step, ...], *, dense: bool) -> Effect | None:
    """The speed of the largest class that runs on both, pleasantly now if any does; None without a gain."""
    pairs = [
        (old, first, second)
        for old, new in zip(before, after, strict=True)
        if old.dense == dense
        and (first := _speed(old.answer)) is not None
        and (second := _speed(new.answer)) is not None
    ]
    pleasant = [pair for pair in pairs if pair[0].answer.verdict in _PLEASANT]
    chosen = pleasant or pairs[:1]
    if not chosen:
        return None
    step, first, second = chosen[-1]
    if second < first * _TELLING:
        return None
    return Effect(
        model=step.model,
        quantization=step.answer.quantization,
        before_tokens_per_s=first,
        after_tokens_per_s=second,
    )


def _largest(steps: tuple[_Step, ...], verdicts: tuple[Verdict, ...], *, dense: bool) -> str | None:
    fitting = [step.size_class for step in steps if step.dense == dense and step.answer.verdict in verdicts]
    return fitting[-1] if fitting else None


def _speed(answer: Estimate) -> float | None:
    decode = answer.speed.decode_tokens_per_s
    return decode.value if decode is not None and answer.fits else None
