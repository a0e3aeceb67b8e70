"""What to try after the recommended models: the biggest that runs at all, and what one change allows."""

from typing import NamedTuple

from probe.catalog.quality import quality_of
from probe.catalog.ranking import ranking_weights
from probe.errors import FactValue
from probe.machine import Machine
from probe.messages.reason import Reason
from probe.recommender.answer import PlacementKind, Verdict
from probe.recommender.memory_modules import second_channel_possible
from probe.recommender.merit import serves, sure_quality, thinks
from probe.recommender.rank import Recommendation
from probe.recommender.survey import Surveyed

_RUNNING = (Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW)


# A model of so many times the memory is another machine, not a next step.
_OUT_OF_REACH = 3


class _Better(NamedTuple):
    answers: float
    line: Surveyed


def next_step(
    machine: Machine, lines: tuple[Surveyed, ...], picks: tuple[Recommendation, ...]
) -> tuple[Reason, ...]:
    """Up to three sentences: a bigger model as it runs today, a cheap change, and a model worth it."""
    shown = {pick.spec.id for pick in picks}
    talking = [
        _Better(sure_quality(quality_of(line.spec.id, "general"), line.answer.quantization), line)
        for line in lines
        if serves(line.spec, "general") and not thinks(line.spec)
    ]
    best = max((one.answers for one in talking if one.line.spec.id in shown), default=0.0)
    better = [one for one in talking if one.answers >= best + ranking_weights().roles.good_gain]
    return (*_biggest(better, shown), *_second_module(machine), *_worth(machine, better))


def _biggest(better: list[_Better], shown: set[str]) -> list[Reason]:
    """The best one that runs, however slowly, with its caveat."""
    running = [
        one
        for one in better
        if one.line.answer.verdict in _RUNNING and one.line.spec.id not in shown and _speed(one) is not None
    ]
    if not running:
        return []
    chosen = max(running, key=lambda one: (one.answers, one.line.spec.id))
    hybrid = chosen.line.answer.placement.kind is PlacementKind.HYBRID
    code = "answer.next.offloaded" if hybrid else "answer.next.slow"
    return [Reason(code=code, values={**_named(chosen), "speed": _speed(chosen)})]


def _second_module(machine: Machine) -> list[Reason]:
    """On a PC that computes in RAM over one channel, the cheapest doubling there is."""
    if machine.usable_gpus() or machine.memory.channels != 1 or not second_channel_possible(machine):
        return []
    return [Reason(code="answer.next.second_module")]


def _worth(machine: Machine, better: list[_Better]) -> list[Reason]:
    """The least demanding clearly better model that does not run well here, and what it asks for."""
    wanted = [
        one
        for one in better
        if one.line.answer.verdict in {Verdict.NO, Verdict.SLOW} and one.line.answer.memory.total_bytes
    ]
    if not wanted:
        return []
    chosen = min(wanted, key=lambda one: (one.line.answer.memory.total_bytes or 0, one.line.spec.id))
    values = {
        **_named(chosen),
        "need_bytes": chosen.line.answer.memory.total_bytes,
        "alias": chosen.line.spec.alias or chosen.line.spec.id,
    }
    need = chosen.line.answer.memory.total_bytes or 0
    if need > _OUT_OF_REACH * _largest_pool_bytes(machine):
        return [Reason(code="answer.next.server", values=values)]
    code = "answer.next.gpu_memory" if machine.usable_gpus() else "answer.next.gpu"
    return [Reason(code=code, values=values)]


def _largest_pool_bytes(machine: Machine) -> int:
    gpus = sum(device.memory_total_bytes or 0 for device in machine.usable_gpus())
    return max(gpus, machine.memory.total_bytes or 0)


def _speed(one: _Better) -> float | None:
    decode = one.line.answer.speed.decode_tokens_per_s
    return decode.value if decode else None


def _named(one: _Better) -> dict[str, FactValue]:
    return {"model": one.line.spec.name, "quantization": one.line.answer.quantization}
