"""What published runs with drafting say of the chance that a drafted token is kept.

Each run has a measured gain; the chance at which our formula gives that gain is the run's own.
The ends of the printed range are taken from these chances, TRIM of the runs left out at each
end. Costs of checking are fitted with every device counted once.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from probe.catalog.speculative import Verification
from probe.estimate.speculative import RoundCost, speedup, verify_share

TRIM: Final = 0.025
METHODS: Final = ("mtp", "draft")
_STEPS: Final = {
    "share": (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5),
    "metal_share": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
    "metal_plain_share": (0.0, 0.15, 0.3, 0.5, 1.0, 1.5),
    "round_share": (0.0, 0.05, 0.1, 0.15, 0.2, 0.3),
}


class Run(NamedTuple):
    """One published run. `drafted` None: the engine stopped at uncertain tokens."""

    device: str
    model: str
    method: str
    drafted: int | None
    measured: float
    cost: RoundCost
    backend: str
    quantization: str

    def gain(self, chance: float, costs: Verification) -> float:
        """Our gain at this chance of keeping a drafted token."""
        return speedup(
            chance,
            self.drafted or costs.gated_tokens,
            self.cost,
            share=verify_share(self.backend, self.quantization, costs),
            round_share=costs.round_share,
        )

    def chance(self, costs: Verification) -> float:
        """The chance at which our gain is the measured one; 0 or 1 where none is."""
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.gain(middle, costs) < self.measured else (low, middle)
        return low

    def lies_between(self, ends: tuple[float, float], costs: Verification) -> bool:
        """The measured gain lies inside the range between two chances."""
        return self.gain(ends[0], costs) <= self.measured <= self.gain(ends[1], costs)


def ends_of(runs: Sequence[Run], costs: Verification) -> tuple[float, float]:
    """Smallest and largest chance of these runs, TRIM of them left out at each end, outwards to 0.01."""
    chances = sorted(run.chance(costs) for run in runs)
    left_out = int(TRIM * len(chances))
    low, high = chances[left_out], chances[-1 - left_out]
    return math.floor(low * 100) / 100, min(1.0, math.ceil(high * 100) / 100)


def fit_costs(runs: Sequence[Run], start: Verification) -> Verification:
    """Costs of checking with the smallest absolute log error, each device counted once a method."""
    counts = Counter((run.method, run.device) for run in runs)
    weights = [1 / counts[run.method, run.device] for run in runs]
    # Where no Mac is left to say anything, a Mac costs what others do.
    best = msgspec.structs.replace(start, metal_share=start.share, metal_plain_share=start.share)
    error, better = _error(runs, weights, best), True
    while better:
        better = False
        for name, steps in _STEPS.items():
            for step in steps:
                costs = msgspec.structs.replace(best, **{name: step})
                tried = _error(runs, weights, costs)
                if tried < error - 1e-6:
                    best, error, better = costs, tried, True
    return best


def _error(runs: Sequence[Run], weights: Sequence[float], costs: Verification) -> float:
    total = 0.0
    for method in METHODS:
        own = [(run, weight) for run, weight in zip(runs, weights, strict=True) if run.method == method]
        chance = _median([(run.chance(costs), weight) for run, weight in own]) if own else 0.0
        total += sum(weight * abs(math.log(run.gain(chance, costs) / run.measured)) for run, weight in own)
    return total


def _median(weighted: list[tuple[float, float]]) -> float:
    half, seen = sum(weight for _, weight in weighted) / 2, 0.0
    for value, weight in sorted(weighted):
        seen += weight
        if seen >= half:
            return value
    return weighted[-1][0]
