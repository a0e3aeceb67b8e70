"""The sentence on top and the routes open to a member, as codes with facts."""

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.routes import CloudClass, route_catalog
from probe.errors import FactValue
from probe.recommender.answer import Reason, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.size_map import SizeCell
from probe.recommender.survey import Surveyed


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
    """The sentence on top, in up to two parts: which sizes run how at 4 bit, and the first pick.

    Args:
        cells: the size map; its 4-bit column is read.
        pick: the first recommendation, or the largest model that runs at all.
        known: False when memory is not known, so that nothing could be judged.
    """
    reach = dict.fromkeys((Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW), "")
    for cell in cells:
        # Mixtures are named in the map only: "up to 120B" would be wrong where 70B does not run.
        dense = not cell.size_class.endswith("MoE")
        if dense and cell.quantization == cells[0].quantization and cell.answer.verdict in reach:
            reach[cell.answer.verdict] = cell.size_class
    named = [verdict for verdict, size in reach.items() if size]
    if not named and pick is None:
        return (Reason(code="answer.headline.nothing" if known else "answer.headline.unknown"),)
    parts = []
    if named:
        code = "answer.headline.sizes_" + "_".join(verdict.value for verdict in named)
        values: dict[str, FactValue] = {verdict.value: reach[verdict] for verdict in named}
        parts.append(Reason(code=code, values=values))
    if pick is not None:
        parts.append(Reason(code="answer.headline.pick", values=_values(pick)))
    return tuple(parts)


def routes(best: Surveyed | None) -> tuple[RouteAnswer, ...]:
    """The three routes of the study group: own PC, the shared server, a rented cloud GPU."""
    own = (
        RouteAnswer(
            route="own_pc",
            verdict=best.answer.verdict,
            reason=Reason(code=f"answer.route.own_pc_{best.answer.verdict.value}", values=_values(best)),
            example=best.spec.id,
        )
        if best is not None
        else RouteAnswer(
            route="own_pc", verdict=Verdict.NO, reason=Reason(code="answer.route.own_pc_no"), example=None
        )
    )
    server = RouteAnswer(
        route="shared_server", verdict=Verdict.UNKNOWN, reason=Reason(code="answer.route.shared_server")
    )
    return (own, server, *_cloud(best))


def _cloud(best: Surveyed | None) -> tuple[RouteAnswer, ...]:
    """The smallest rented GPU class that runs the next size class comfortably."""
    have = (best.spec.params_text or best.spec.params_total or 0) if best is not None else 0
    catalog = route_catalog()
    wish = next((name for name in catalog.wishes if (find_model(name).params_total or 0) > have * 1.5), None)
    if wish is None:
        return ()
    spec = find_model(wish)
    smallest = _smallest_class(catalog.cloud, wish)
    if smallest is None:
        return ()
    reason = Reason(code="answer.route.cloud", values={"model": spec.name, "gpu": smallest.name})
    return (RouteAnswer(route="cloud", verdict=Verdict.COMFORTABLE, reason=reason, example=spec.id),)


def _smallest_class(classes: tuple[CloudClass, ...], wish: str) -> CloudClass | None:
    spec = find_model(wish)
    for offer in classes:
        machine = enrich(from_spec(offer.machine))
        answer = Estimator(machine, Options()).estimate(spec, "Q4_K_M", full=False)
        if answer.verdict is Verdict.COMFORTABLE:
            return offer
    return None
