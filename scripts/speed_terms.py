"""The fit behind catalogs/speed.json: sums of shrunk class terms, by Gauss-Newton in logarithms.

Same formulas as probe/estimate/speed_decode.py and speed_prompt.py, over all rows at
once; a test holds both against each other. Terms of single devices exist in the fit only:
they keep a device with many rows from bending its class.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Key = tuple[str, str]  # (term, class key)


class Prior(NamedTuple):
    """What a term is before any row is seen, and how far rows may move it (one standard deviation)."""

    mean: float
    sd: float


class Terms:
    """The unknowns: one number a (term, key), with its prior."""

    def __init__(self) -> None:
        self.index: dict[Key, int] = {}
        self.priors: list[Prior] = []

    def add(self, term: str, key: str, prior: Prior) -> int:
        """The column of a term, made when first asked for."""
        found = self.index.get((term, key))
        if found is None:
            found = self.index[(term, key)] = len(self.priors)
            self.priors.append(prior)
        return found


def design(rows: Sequence[Iterable[int]], columns: int) -> Array:
    """One row a case with a 1 in each of its terms' columns."""
    matrix = np.zeros((len(rows), columns))
    for line, found in enumerate(rows):
        for column in found:
            matrix[line, column] += 1.0
    return matrix


def device_weights(names: Sequence[str]) -> Array:
    """A device's rows together weigh as the square root of their number."""
    counts = Counter(names)
    return np.array([counts[name] ** -0.5 for name in names])


Model = Callable[[Array], tuple[Array, Array]]  # unknowns -> (log of the prediction, its Jacobian)

ROBUST: Final = 1.5  # residuals above this many sigmas pull like an absolute error
TOLERANCE: Final = 1e-7


def gauss_newton(
    model: Model,
    target: Array,
    weights: Array,
    terms: Terms,
    *,
    sigma: float,
) -> Array:
    """Unknowns that fit `target` best: soft-L1 on the rows, Gaussian priors on the terms."""
    priors = terms.priors
    mean = np.array([prior.mean for prior in priors])
    inverse = np.array([1 / prior.sd**2 for prior in priors])
    x: Array = mean.copy()

    def cost(point: Array) -> float:
        residual = (model(point)[0] - target) / sigma
        soft = 2 * ROBUST**2 * (np.sqrt(1 + (residual / ROBUST) ** 2) - 1)
        return float((weights * soft).sum() + (inverse * (point - mean) ** 2).sum())

    damping, current = 1e-3, cost(x)
    for _ in range(200):
        predicted, jacobian = model(x)
        residual = (predicted - target) / sigma
        pull = weights / np.sqrt(1 + (residual / ROBUST) ** 2)
        scaled = jacobian / sigma
        gradient = scaled.T @ (pull * residual) + inverse * (x - mean)
        normal = (scaled * pull[:, None]).T @ scaled + np.diag(inverse)
        while True:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
            tried = cost(x + step)
            if tried <= current or damping > 1e8:
                break
            damping *= 4
        gain = current - tried
        x, current, damping = x + step, tried, max(damping / 3, 1e-9)
        if gain < TOLERANCE * max(1.0, current):
            break
    return x


def weighted_quantile(values: Array, weights: Array, share: float) -> float:
    """The value below which `share` of the weight lies, interpolated."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    middle = (cumulated - weights[order] / 2) / cumulated[-1]
    return float(np.interp(share, middle, values[order]))


def log_share(value: float) -> float:
    """A logarithm that a file can hold."""
    return round(math.log(value), 5)
