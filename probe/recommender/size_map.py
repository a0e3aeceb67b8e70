"""The heart of the page: model sizes x quantization levels, a verdict in each cell."""

import msgspec

from probe.catalog.models import find_model
from probe.catalog.size_classes import size_classes
from probe.machine import Machine
from probe.recommender.answer import Estimate
from probe.recommender.fit import Estimator
from probe.recommender.options import Options


class SizeCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: the class, the level, the model that was computed and its answer."""

    size_class: str
    quantization: str
    example: str
    answer: Estimate


def size_map(machine: Machine, options: Options) -> tuple[SizeCell, ...]:
    """Every cell, computed for its named catalog model at 8k context and one conversation."""
    classes = size_classes()
    asked = msgspec.structs.replace(Options(), context=classes.context, reserve_bytes=options.reserve_bytes)
    estimator = Estimator(machine, asked)
    return tuple(
        SizeCell(
            size_class=size.size_class,
            quantization=level.quantization,
            example=size.model,
            answer=estimator.estimate(find_model(size.model), level.recipe, full=False),
        )
        for size in classes.size
        for level in classes.level
    )
