"""What a member's own report says about the group: the servers that run what this PC cannot."""

from pathlib import Path
from typing import Final

import msgspec

from probe.errors import FactValue, InputError
from probe.fleet.ladder import offers
from probe.fleet.scan import scan_folder
from probe.fleet.summary import label_members
from probe.messages.reason import Reason
from probe.report.documents import ReportDocument, Route
from probe.report.encode import sentence
from probe.report.fleet_documents import ServerOffer

_SHOWN: Final = 3


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The largest of a member's wishes that a server of the group runs."""

    id: str
    name: str
    offers: tuple[ServerOffer, ...]


def servers_for(
    folder: Path, wishes: tuple[tuple[str, str], ...], own: tuple[str | None, str | None]
) -> ServedModel | None:
    """The last of `wishes` (id, name; small to large) that a server in `folder` runs well enough to use.

    Args:
        own: host id and name of the asking machine, which is not its own server.

    Returns:
        None where no server runs any of them, or the folder cannot be read: a report
        is written all the same.
    """
    try:
        fleet = scan_folder(folder)
    except InputError:
        return None
    host_id, name = own
    key = ("id", host_id) if host_id else ("name", name or "")
    servers = [member for member in fleet.members if member.is_server and member.key != key]
    labels = label_members(fleet.members)
    for model_id, model_name in reversed(wishes):
        found = offers(servers, model_id, labels)
        if found:
            return ServedModel(id=model_id, name=model_name, offers=found[:_SHOWN])
    return None


def with_servers(report: ReportDocument, folder: Path, lang: str) -> ReportDocument:
    """The report with its route to a shared server filled from the other reports in `folder`.

    Wishes are the models of the routes catalog that this machine does not run well
    enough to work with. Without a server that runs one, the report stays as it is.
    """
    from probe.catalog.models import find_model
    from probe.catalog.routes import route_catalog

    own = {line.id: line.verdict.value for line in report.models}
    specs = [find_model(wish.model) for wish in route_catalog().wish]
    wishes = tuple(
        (spec.id, spec.name) for spec in specs if own.get(spec.id) not in ("comfortable", "usable")
    )
    served = servers_for(folder, wishes, (report.machine.host.id, report.machine.host.name))
    if served is None:
        return report
    extra = tuple(_route(served, offer, lang) for offer in served.offers)
    others = [route for route in report.summary.routes if route.route != "shared_server"]
    own_routes = [route for route in others if route.route == "own_pc"]
    rest = [route for route in others if route.route != "own_pc"]
    summary = msgspec.structs.replace(report.summary, routes=(*own_routes, *extra, *rest))
    return msgspec.structs.replace(report, summary=summary)


def _route(served: ServedModel, offer: ServerOffer, lang: str) -> Route:
    speed = offer.decode_tokens_per_s
    values: dict[str, FactValue] = {
        "host": offer.host,
        "model": served.name,
        "speed": speed.value if speed else None,
    }
    suffix = "_at" if offer.address else ""
    reason = Reason(code=f"fleet.route.server_{offer.verdict}{suffix}", values=values)
    return Route(
        route="shared_server",
        verdict=offer.verdict,
        text=sentence(reason, lang),
        code=reason,
        example=served.id,
        address=offer.address,
    )
