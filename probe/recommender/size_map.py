"""The heart of the page: model sizes x quantization levels, a verdict in each cell."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.catalog.size_classes import QuantizationLevel, size_classes
from probe.machine import Machine
from probe.recommender.answer import Estimate, PlacementKind
from probe.recommender.companion import estimator_beside
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.quantization_choice import quicker_on_cpu


class SizeCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: the class, the level, the model that was computed and its answer."""

    size_class: str
    quantization: str
    example: str
    answer: Estimate


def size_map(machine: Machine, options: Options, beside: Estimate | None = None) -> tuple[SizeCell, ...]:
    """Every cell, computed for its named catalog model at 8k context and one conversation."""
    classes = size_classes()
    asked = msgspec.structs.replace(Options(), context=classes.context, reserve_bytes=options.reserve_bytes)
    estimator = estimator_beside(machine, asked, beside)
    return tuple(
        SizeCell(
            size_class=size.size_class,
            quantization=level.quantization,
            example=size.model,
            answer=_cell(estimator, find_model(size.model), level),
        )
        for size in classes.size
        for level in classes.level
    )


def _cell(estimator: Estimator, spec: ModelSpec, level: QuantizationLevel) -> Estimate:
    answer = estimator.estimate(spec, level.recipe, full=False)
    other = level.cpu_recipe
    if other is None or answer.placement.kind is not PlacementKind.CPU or not answer.fits:
        return answer
    return quicker_on_cpu(answer, lambda: estimator.estimate(spec, other, full=False))
