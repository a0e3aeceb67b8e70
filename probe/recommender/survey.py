"""Every catalog model on one machine, each in the quantization to take."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.machine import Machine
from probe.recommender.answer import Estimate, Verdict
from probe.recommender.companion import estimator_beside
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.pools import Pools
from probe.recommender.quantization_choice import Room, best_quantization

_NOT_TALKING = frozenset({"base", "draft", "guard"})


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """One model and the best answer for it."""

    spec: ModelSpec
    answer: Estimate


class LlamaCppChoice(Estimator):
    """llama.cpp's estimator, which also says which quantization to take."""

    def best(self, spec: ModelSpec) -> Estimate:
        """The answer in the quantization to take, with its longest context and its command."""
        return best_answer(self, spec, full=True)


def best_answer(estimator: Estimator, spec: ModelSpec, *, full: bool, room: Room | None = None) -> Estimate:
    """The answer for `spec`: in the asked quantization, else in the one to take.

    Args:
        room: of the estimator's pools, where it is known already.
    """
    asked = estimator.options.quantization
    if asked is not None:
        return estimator.estimate(spec, asked, full=full)
    chosen = best_quantization(
        spec, lambda name: estimator.estimate(spec, name, full=False), room or _room(estimator.pools)
    )
    return estimator.estimate(spec, chosen.quantization, full=True) if full else chosen


def _room(pools: Pools) -> Room:
    """What the pools hold, one physical pool counted once; coherent memory goes on in RAM."""
    own = _sum([pool.capacity_bytes for pool in pools.gpus if not pool.in_ram])
    together = _sum([pools.cpu.capacity_bytes, own])
    if not pools.gpus:
        return Room(all_bytes=together, computing_bytes=together)
    shared = any(pool.in_ram for pool in pools.gpus) or pools.coherent is not None
    return Room(all_bytes=together, computing_bytes=None if shared else own)


def _sum(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def survey(machine: Machine, options: Options, beside: Estimate | None = None) -> tuple[Surveyed, ...]:
    """One line per catalog model that a GGUF engine could load at all; order of the catalog.

    Args:
        beside: a model that is loaded at the same time; the others get what it leaves.
    """
    estimator = estimator_beside(machine, options, beside)
    room = _room(estimator.pools)
    return tuple(
        Surveyed(spec=spec, answer=best_answer(estimator, spec, full=False, room=room))
        for spec in all_models()
    )


def largest(lines: tuple[Surveyed, ...], verdicts: tuple[Verdict, ...]) -> Surveyed | None:
    """The largest text model with one of `verdicts`; among equals the faster one."""
    fitting = [
        line
        for line in lines
        if line.answer.verdict in verdicts
        and line.spec.variant not in _NOT_TALKING
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
