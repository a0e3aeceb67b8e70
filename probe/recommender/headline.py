"""The sentence on top and the routes open to a member, as codes with facts."""

import msgspec

from probe.catalog.models import find_model
from probe.catalog.quality import quality_of
from probe.catalog.ranking import ranking_weights
from probe.catalog.routes import route_catalog
from probe.errors import FactValue
from probe.recommender.answer import Reason, Verdict
from probe.recommender.size_map import SizeCell
from probe.recommender.survey import Surveyed

_MIXTURE = " MoE"


class RouteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One way to be served."""

    route: str  # own_pc, shared_server, cloud
    verdict: Verdict
    reason: Reason
    example: str | None = None


def _values(line: Surveyed) -> dict[str, FactValue]:
    decode = line.answer.speed.decode_tokens_per_s
    return {
        "model": line.spec.name,
        "quantization": line.answer.quantization,
        "speed": decode.value if decode else None,
    }


def headline(cells: tuple[SizeCell, ...], pick: Surveyed | None, *, known: bool) -> tuple[Reason, ...]:
    """The sentence on top, in up to three parts: which sizes run how at 4 bit, mixtures, the first pick.

    Args:
        cells: the size map; its 4-bit column is read.
        pick: the first recommendation, or the largest model that runs at all.
        known: False when memory is not known, so that nothing could be judged.
    """
    sizes = _sizes(cells)
    if not sizes and pick is None:
        return (Reason(code="answer.headline.nothing" if known else "answer.headline.unknown"),)
    picked = (Reason(code="answer.headline.pick", values=_values(pick)),) if pick is not None else ()
    return (*sizes, *picked)


def _sizes(cells: tuple[SizeCell, ...]) -> tuple[Reason, ...]:
    column = [cell for cell in cells if cell.quantization == cells[0].quantization]
    if column and all(cell.answer.verdict is Verdict.COMFORTABLE for cell in column):
        largest = column[-1].size_class.removesuffix(_MIXTURE)
        return (Reason(code="answer.headline.every_size", values={"largest": largest}),)
    reach = dict.fromkeys((Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW), "")
    mixtures = dict.fromkeys((Verdict.COMFORTABLE, Verdict.USABLE), "")
    for cell in column:
        # Mixtures have a sentence of their own: "up to 120B" would be wrong where 70B does not run.
        if cell.size_class.endswith(_MIXTURE):
            if cell.answer.verdict in mixtures:
                mixtures[cell.answer.verdict] = cell.size_class.removesuffix(_MIXTURE)
        elif cell.answer.verdict in reach:
            reach[cell.answer.verdict] = cell.size_class
    parts = []
    named = [verdict for verdict, size in reach.items() if size]
    if named:
        code = "answer.headline.sizes_" + "_".join(verdict.value for verdict in named)
        values: dict[str, FactValue] = {verdict.value: reach[verdict] for verdict in named}
        parts.append(Reason(code=code, values=values))
    reached = next((verdict for verdict, size in mixtures.items() if size), None)
    if reached is not None:
        code = f"answer.headline.mixtures_{reached.value}"
        parts.append(Reason(code=code, values={"size": mixtures[reached]}))
    return tuple(parts)


def routes(pick: Surveyed | None) -> tuple[RouteAnswer, ...]:
    """The three routes of the study group: own PC, the shared server, a rented cloud GPU.

    Args:
        pick: the first recommendation; None where nothing runs.
    """
    own = (
        RouteAnswer(
            route="own_pc",
            verdict=pick.answer.verdict,
            reason=Reason(code=f"answer.route.own_pc_{pick.answer.verdict.value}", values=_values(pick)),
            example=pick.spec.id,
        )
        if pick is not None
        else RouteAnswer(
            route="own_pc", verdict=Verdict.NO, reason=Reason(code="answer.route.own_pc_no"), example=None
        )
    )
    server = RouteAnswer(
        route="shared_server", verdict=Verdict.UNKNOWN, reason=Reason(code="answer.route.shared_server")
    )
    return (own, server, *_cloud(pick))


def _cloud(pick: Surveyed | None) -> tuple[RouteAnswer, ...]:
    """The least wish that is clearly better than the first pick, and the class of machine it takes."""
    own = quality_of(pick.spec.id, "general") if pick is not None else None
    least = own.value + ranking_weights().roles.good_gain if own is not None else 0.0
    for wish in route_catalog().wish:
        spec = find_model(wish.model)
        quality = quality_of(spec.id, "general")
        if quality is not None and quality.value >= least:
            reason = Reason(code="answer.route.cloud", values={"model": spec.name, "gpu": wish.cloud})
            return (RouteAnswer(route="cloud", verdict=Verdict.COMFORTABLE, reason=reason, example=spec.id),)
    return ()
