"""Every catalog model at several contexts and quantizations: what a page's selectors choose from."""

from collections.abc import Callable
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.catalog.quality import quality_of
from probe.catalog.repositories import Q4_0, gguf_repository
from probe.machine import Machine
from probe.recommender.answer import Estimate
from probe.recommender.fit import Estimator
from probe.recommender.merit import serves
from probe.recommender.options import PURPOSES, Options
from probe.recommender.quantization_choice import best_quantization, native_only

CONTEXTS: Final = (4096, 8192, 32768)
QUANTIZATIONS: Final = ("Q4_K_M", "Q6_K", "Q8_0", "F16")


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model; `answers[i][0]` is the best quantization at contexts[i], the rest follow `quantizations`.

    An answer is None where the model is not published in that form.
    """

    spec: ModelSpec
    qualities: dict[str, tuple[float, bool]]  # purpose it serves -> quality and whether it was measured
    answers: tuple[tuple[Estimate | None, ...], ...]


class FigureTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table for one machine, computed by the one estimator."""

    contexts: tuple[int, ...]
    chosen_context: int
    quantizations: tuple[str, ...]
    models: tuple[ModelFigures, ...]


def figure_table(machine: Machine, options: Options) -> FigureTable:
    """The figures of all models; the asked context stands among the usual ones."""
    contexts = tuple(sorted({*CONTEXTS, options.context}))
    quantizations: tuple[str, ...] = QUANTIZATIONS
    if options.quantization is not None and options.quantization not in quantizations:
        quantizations = (options.quantization, *quantizations)
    estimators = tuple(
        Estimator(machine, msgspec.structs.replace(options, context=context)) for context in contexts
    )
    known: dict[tuple[object, ...], tuple[tuple[Estimate | None, ...], ...]] = {}
    models = []
    for spec in all_models():
        shape = _shape(spec)
        if shape not in known:
            known[shape] = tuple(_answers(estimator, spec, quantizations) for estimator in estimators)
        models.append(ModelFigures(spec=spec, qualities=_qualities(spec), answers=known[shape]))
    return FigureTable(
        contexts=contexts,
        chosen_context=options.context,
        quantizations=quantizations,
        models=tuple(models),
    )


def _shape(spec: ModelSpec) -> tuple[object, ...]:
    """What decides memory and speed: base, instruct and dated variants of one model share it."""
    return (
        spec.dimensions if spec.dimensions is None else msgspec.json.encode(spec.dimensions),
        spec.architecture,
        spec.model_type,
        spec.params_total,
        spec.params_text,
        spec.params_active,
        spec.params_other,
        spec.params_mtp,
        spec.max_context,
        spec.modality,
        spec.native_quantization,
        spec.native_dtype,
        gguf_repository(spec, Q4_0) is None,
    )


def _answers(
    estimator: Estimator, spec: ModelSpec, quantizations: tuple[str, ...]
) -> tuple[Estimate | None, ...]:
    made: dict[str, Estimate] = {}

    def estimate(name: str) -> Estimate:
        if name not in made:
            made[name] = estimator.estimate(spec, name, full=False)
        return made[name]

    only = native_only(spec)
    asked = estimator.options.quantization
    best = estimate(asked) if asked is not None else best_quantization(spec, estimate)
    return (best, *(_published(name, only, estimate) for name in quantizations))


def _published(
    name: str, only: tuple[str, ...] | None, estimate: Callable[[str], Estimate]
) -> Estimate | None:
    return None if only is not None and name not in only else estimate(name)


def _qualities(spec: ModelSpec) -> dict[str, tuple[float, bool]]:
    found = {}
    for purpose in PURPOSES:
        if serves(spec, purpose):
            quality = quality_of(spec.id, purpose)
            found[purpose] = (quality.value, quality.basis == "fit") if quality is not None else (0.0, False)
    return found
