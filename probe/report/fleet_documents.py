"""`probe fleet --json`: what a folder of reports says about a group."""

from typing import Final

import msgspec

from probe.machine import Range
from probe.report.documents import SCHEMA_VERSION

# Drivers and memory change a few times a year; a report older than a quarter may describe another PC.
STALE_AFTER_DAYS: Final = 90


class RunsOn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One machine that a model runs on. `host` is the label of machines[]."""

    host: str
    verdict: str
    decode_tokens_per_s: Range | None


class FleetModel(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model runs, best first; `counts` holds every machine, also those that cannot."""

    id: str
    runs_on: tuple[RunsOn, ...]
    counts: dict[str, int]


class FleetGpu(msgspec.Struct, frozen=True, kw_only=True):
    """Equal devices of one machine."""

    name: str
    count: int
    memory_bytes: int | None
    memory_shared: bool
    usable: bool


class LargestModel(msgspec.Struct, frozen=True, kw_only=True):
    """The largest model of one verdict on one machine."""

    id: str
    name: str
    params_total: int | None
    quantization: str | None
    decode_tokens_per_s: Range | None


class ServerOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of the group that runs a model; `address` where its owner gave one."""

    host: str
    address: str | None
    verdict: str
    decode_tokens_per_s: Range | None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The next larger model for one member, and the way to it: own_pc, shared_server, cloud or none."""

    model: str
    route: str
    servers: tuple[ServerOffer, ...]
    cloud: str | None


class PastReport(msgspec.Struct, frozen=True, kw_only=True):
    """An older report of the same machine."""

    created_at: str | None
    driver: str | None
    ram_bytes: int | None
    largest: str | None


class FleetMachine(msgspec.Struct, frozen=True, kw_only=True):
    """One machine: its newest report. `host` is its name, made unique where two share one."""

    host: str
    host_id: str | None
    name: str
    path: str
    created_at: str | None
    age_days: int
    stale: bool
    has_models: bool  # False: the file holds the hardware alone
    system: str | None
    cpu: str | None
    ram_bytes: int | None
    ram_type: str | None
    ram_channels: int | None
    gpus: tuple[FleetGpu, ...]
    driver: str | None
    tool_version: str | None
    api_url: str | None
    is_server: bool
    largest_comfortable: LargestModel | None
    largest_usable: LargestModel | None
    wish: Wish | None
    findings: tuple[str, ...]
    past: tuple[PastReport, ...]


class UnreadableFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that gave no answer."""

    path: str
    reason: str
    code: str


class LadderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One size of model and how many machines run it how, in its example model."""

    size_class: str
    model: str
    counts: dict[str, int]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Machines with the same hardware: several machines all the same."""

    cpu: str | None
    ram_bytes: int | None
    ram_channels: int | None
    gpus: tuple[FleetGpu, ...]
    largest: str | None
    hosts: tuple[str, ...]


class CommonFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding and the machines that share it."""

    id: str
    severity: str
    title: str
    hosts: tuple[str, ...]


class ServerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A machine others may use, and the wishes it serves."""

    host: str
    address: str | None
    largest: str | None
    serves: tuple[str, ...]
    members: int  # whose wish it runs


class AskedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model asked for with --model."""

    id: str
    name: str
    machines: tuple[RunsOn, ...]  # all that have an answer, best first
    servers: tuple[ServerOffer, ...]


class WhatIfDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the hardware: how the machines and the sizes stood before it."""

    change: str
    hosts: tuple[str, ...]  # that it changes
    ladder_before: tuple[LadderRow, ...]
    raised: dict[str, int]  # machines whose verdict rises, by size class


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the machines."""

    machines: int
    files: int
    unreadable: int
    stale: int
    hardware_only: int
    with_gpu: int
    gpus: int
    gpu_memory_bytes: int
    ram_bytes: int
    servers: int
    past_reports: int


class FleetDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="fleet"):
    """The whole answer for a folder.

    `models_complete`: false when the program failed while `models` was being written; what stands there
    is right, some models are missing, and the exit code says that it is our fault.
    """

    schema_version: str = SCHEMA_VERSION
    created_at: str
    language: str
    folder: str
    machines: tuple[FleetMachine, ...]
    unreadable: tuple[UnreadableFile, ...]
    models: tuple[FleetModel, ...]
    totals: Totals
    ladder: tuple[LadderRow, ...]
    servers: tuple[ServerDocument, ...]
    groups: tuple[Group, ...]
    findings: tuple[CommonFinding, ...]
    asked: AskedModel | None = None
    what_if: WhatIfDocument | None = None
    models_complete: bool = True
