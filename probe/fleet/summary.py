"""The group's answer, merged from its members' reports; nothing is computed anew."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from probe.catalog.models import find_model
from probe.catalog.routes import route_catalog
from probe.fleet.ladder import ladder, machines_for, offers
from probe.fleet.member import Fleet, Gpu, Largest, Member, Noted, Past
from probe.fleet.models import models_of
from probe.messages import has, t
from probe.report.fleet_documents import (
    STALE_AFTER_DAYS,
    AskedModel,
    CommonFinding,
    FleetDocument,
    FleetGpu,
    FleetMachine,
    Group,
    LargestModel,
    PastReport,
    ServerDocument,
    ServerOffer,
    Totals,
    UnreadableFile,
    WhatIfDocument,
    Wish,
)

_SEVERE: Final = ("critical", "warning")
_DAY_S: Final = 86400
_OFFERS_SHOWN: Final = 3
_PAST_SHOWN: Final = 12
Key = tuple[str, str]


def build_fleet(
    fleet: Fleet,
    *,
    folder: Path,
    lang: str,
    now_s: float,
    created_at: str,
    with_models: bool,
    model: tuple[str, str] | None = None,
    what_if: WhatIfDocument | None = None,
) -> FleetDocument:
    """The document of one folder.

    Args:
        now_s: seconds since 1970, to tell stale reports.
        with_models: whether `models` is wanted: machines times models entries.
        model: id and name of a model asked for.
    """
    members = fleet.members
    labels = label_members(members)
    servers = [member for member in members if member.is_server and member.lines is not None]
    # The wishes of the catalog, from small to large, and any other that a report names.
    wished = dict.fromkeys(find_model(wish.model).id for wish in route_catalog().wish)
    wished |= dict.fromkeys(member.wish for member in members if member.wish)
    offered = {wish: offers(servers, wish, labels) for wish in wished}
    machines = tuple(
        _machine(member, fleet.past.get(member.key, ()), labels[member.key], offered, now_s)
        for member in members
    )
    return FleetDocument(
        created_at=created_at,
        language=lang,
        folder=folder.name or str(folder),
        machines=machines,
        unreadable=tuple(
            UnreadableFile(path=bad.path, reason=t(bad.key, lang, **bad.facts), code=bad.key)
            for bad in fleet.unreadable
        ),
        models=tuple(models_of(members, labels)) if with_models else (),
        totals=_totals(fleet, machines),
        ladder=ladder(members),
        servers=_servers(servers, machines, offered, labels),
        groups=_groups(members, labels),
        findings=_findings(members, labels, lang),
        asked=None
        if model is None
        else AskedModel(
            id=model[0],
            name=model[1],
            machines=machines_for(members, model[0], labels),
            servers=offers(servers, model[0], labels),
        ),
        what_if=what_if,
    )


def label_members(members: Sequence[Member]) -> dict[Key, str]:
    """The name of each machine, with six letters of its id where several share the name."""
    shared = Counter(member.name for member in members)
    labels: dict[Key, str] = {}
    taken: set[str] = set()
    for member in members:
        label = member.name
        if shared[label] > 1:
            label = f"{label} ({(member.host_id or member.path)[:6]})"
            if label in taken:
                label = f"{member.name} ({member.path})"
        taken.add(label)
        labels[member.key] = label
    return labels


def _largest(found: Largest | None) -> LargestModel | None:
    if found is None:
        return None
    return LargestModel(
        id=found.id,
        name=found.name,
        params_total=found.params_total,
        quantization=found.quantization,
        decode_tokens_per_s=found.decode_tokens_per_s,
    )


def _gpus(gpus: Sequence[Gpu]) -> tuple[FleetGpu, ...]:
    return tuple(
        FleetGpu(
            name=gpu.name,
            count=count,
            memory_bytes=gpu.memory_bytes,
            memory_shared=gpu.shared,
            usable=gpu.usable,
        )
        for gpu, count in Counter(gpus).items()
    )


def _wish(member: Member, label: str, offered: dict[str, tuple[ServerOffer, ...]]) -> Wish | None:
    if member.wish is None:
        return None
    own = member.lines is not None and member.lines.verdict(member.wish) in "cu"
    others = tuple(offer for offer in offered[member.wish] if offer.host != label)[:_OFFERS_SHOWN]
    route = "own_pc" if own else "shared_server" if others else "cloud" if member.wish_cloud else "none"
    return Wish(model=member.wish, route=route, servers=others, cloud=member.wish_cloud)


def _machine(
    member: Member,
    past: tuple[Past, ...],
    label: str,
    offered: dict[str, tuple[ServerOffer, ...]],
    now_s: float,
) -> FleetMachine:
    hardware = member.hardware
    age_days = int((now_s - member.time_s) / _DAY_S)  # towards zero: clocks differ by minutes
    return FleetMachine(
        host=label,
        host_id=member.host_id,
        name=member.name,
        path=member.path,
        created_at=member.created_at,
        age_days=age_days,
        stale=age_days > STALE_AFTER_DAYS,
        has_models=member.lines is not None,
        system=hardware.system,
        cpu=hardware.cpu,
        ram_bytes=hardware.ram_bytes,
        ram_type=hardware.ram_type,
        ram_channels=hardware.ram_channels,
        gpus=_gpus(hardware.gpus),
        driver=hardware.driver,
        tool_version=member.tool_version,
        api_url=member.api_url,
        is_server=member.is_server,
        largest_comfortable=_largest(member.comfortable),
        largest_usable=_largest(member.usable),
        wish=_wish(member, label, offered),
        findings=tuple(noted.id for noted in member.findings),
        past=tuple(
            PastReport(
                created_at=one.created_at, driver=one.driver, ram_bytes=one.ram_bytes, largest=one.largest
            )
            for one in past[-_PAST_SHOWN:]
        ),
    )


def _totals(fleet: Fleet, machines: tuple[FleetMachine, ...]) -> Totals:
    usable = [[gpu for gpu in member.hardware.gpus if gpu.usable] for member in fleet.members]
    return Totals(
        machines=len(machines),
        files=fleet.files,
        unreadable=len(fleet.unreadable),
        stale=sum(machine.stale for machine in machines),
        hardware_only=sum(not machine.has_models for machine in machines),
        with_gpu=sum(bool(gpus) for gpus in usable),
        gpus=sum(map(len, usable)),
        # A unified pool is RAM and stands there.
        gpu_memory_bytes=sum(gpu.memory_bytes or 0 for gpus in usable for gpu in gpus if not gpu.shared),
        ram_bytes=sum(machine.ram_bytes or 0 for machine in machines),
        servers=sum(machine.is_server for machine in machines),
        past_reports=sum(map(len, fleet.past.values())),
    )


def _servers(
    servers: Sequence[Member],
    machines: tuple[FleetMachine, ...],
    offered: dict[str, tuple[ServerOffer, ...]],
    labels: dict[Key, str],
) -> tuple[ServerDocument, ...]:
    serves: dict[str, list[str]] = defaultdict(list)
    for wish, found in offered.items():
        for offer in found:
            serves[offer.host].append(wish)
    wishes = Counter(
        machine.wish.model for machine in machines if machine.wish and machine.wish.route != "own_pc"
    )
    documents = []
    for member in servers:
        host = labels[member.key]
        largest = member.comfortable or member.usable
        documents.append(
            ServerDocument(
                host=host,
                address=member.api_url,
                largest=largest.name if largest else None,
                serves=tuple(serves.get(host, ())),
                members=sum(wishes[wish] for wish in serves.get(host, ())),
            )
        )
    return tuple(sorted(documents, key=lambda one: (one.address is None, -one.members, one.host)))


def _groups(members: Sequence[Member], labels: dict[Key, str]) -> tuple[Group, ...]:
    """Hardware that at least two machines share, the most common first."""
    same: dict[tuple[object, ...], list[Member]] = defaultdict(list)
    for member in members:
        same[member.hardware.group].append(member)
    groups = []
    for alike in sorted(same.values(), key=lambda alike: -len(alike)):
        if len(alike) < 2:
            break
        hardware = alike[0].hardware
        largest = next(
            (one.comfortable or one.usable for one in alike if one.comfortable or one.usable), None
        )
        groups.append(
            Group(
                cpu=hardware.cpu,
                ram_bytes=hardware.ram_bytes,
                ram_channels=hardware.ram_channels,
                gpus=_gpus(hardware.gpus),
                largest=largest.name if largest else None,
                hosts=tuple(labels[member.key] for member in alike),
            )
        )
    return tuple(groups)


def _findings(members: Sequence[Member], labels: dict[Key, str], lang: str) -> tuple[CommonFinding, ...]:
    """Findings by how many machines share them; each machine counts once."""
    hosts: dict[str, dict[str, None]] = defaultdict(dict)
    first: dict[str, Noted] = {}
    for member in members:
        for noted in member.findings:
            first.setdefault(noted.id, noted)
            hosts[noted.id][labels[member.key]] = None
    return tuple(
        CommonFinding(
            id=one, severity=first[one].severity, title=_title(first[one], lang), hosts=tuple(hosts[one])
        )
        for one in sorted(hosts, key=lambda one: (-len(hosts[one]), first[one].severity not in _SEVERE, one))
    )


def _title(noted: Noted, lang: str) -> str:
    """The finding's title in this run's language; a finding we do not know keeps its own words."""
    kind, _, code = noted.id.partition(".")
    key = f"states.{code}.title" if kind == "device" and code else f"findings.{noted.id}.title"
    if not has(key, lang):
        return noted.title or noted.id
    try:
        return t(key, lang, **noted.values)
    except (
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
    ):  # foreign values for our placeholders
        return noted.title or noted.id
