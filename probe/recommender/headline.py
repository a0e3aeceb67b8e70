"""The sentence on top and the routes open to a member, as codes with facts."""

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.routes import CloudClass, route_catalog
from probe.errors import FactValue
from probe.recommender.answer import PlacementKind, Reason, Verdict
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.survey import Surveyed

_PLACES = {
    PlacementKind.GPU: "gpu",
    PlacementKind.MULTI_GPU: "gpus",
    PlacementKind.CPU: "cpu",
    PlacementKind.HYBRID: "hybrid",
    PlacementKind.UNIFIED: "unified",
}


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


def headline(best: Surveyed | None, *, known: bool) -> tuple[Reason, str | None]:
    """The code of the sentence on top, and the code of the place in it.

    Args:
        best: the largest comfortable model, else the largest usable, else the largest slow one.
        known: False when memory is not known, so that nothing could be judged.
    """
    if best is None:
        return Reason(code="answer.headline.nothing" if known else "answer.headline.unknown"), None
    place = f"answer.headline.place_{_PLACES[best.answer.placement.kind]}"
    return Reason(code=f"answer.headline.{best.answer.verdict.value}", values=_values(best)), place


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
