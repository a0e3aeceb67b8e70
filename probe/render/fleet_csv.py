"""The group as CSV: one row a machine, or one row a machine for the model asked for."""

from probe.render.csv import Value, render_rows
from probe.render.fleet_words import gpu_words
from probe.report.fleet_documents import FleetDocument, FleetMachine, LargestModel

MACHINE_COLUMNS = (
    "host",
    "host_id",
    "created_at",
    "age_days",
    "stale",
    "system",
    "cpu",
    "ram_bytes",
    "ram_channels",
    "gpus",
    "driver",
    "largest_comfortable",
    "largest_comfortable_tokens_per_s",
    "largest_usable",
    "largest_usable_tokens_per_s",
    "wish",
    "wish_route",
    "wish_server",
    "wish_address",
    "wish_cloud",
    "api_url",
    "findings",
    "probe_version",
    "path",
)


def fleet_csv(document: FleetDocument) -> str:
    """One row for each machine; with a model asked for, three columns about it come first."""
    asked = {one.host: one for one in document.asked.machines} if document.asked else {}
    first = ("model", "model_verdict", "model_tokens_per_s") if document.asked else ()
    rows = []
    for machine in document.machines:
        values: tuple[Value, ...] = ()
        if document.asked:
            one = asked.get(machine.host)
            speed = one.decode_tokens_per_s if one else None
            values = (
                document.asked.id,
                one.verdict if one else "unknown",
                round(speed.value, 2) if speed else None,
            )
        rows.append((*values, *_row(machine)))
    return render_rows((*first, *MACHINE_COLUMNS), rows)


def _row(machine: FleetMachine) -> tuple[Value, ...]:
    wish = machine.wish
    server = wish.servers[0] if wish and wish.servers else None
    return (
        machine.host,
        machine.host_id,
        machine.created_at,
        machine.age_days,
        machine.stale,
        machine.system,
        machine.cpu,
        machine.ram_bytes,
        machine.ram_channels,
        gpu_words(machine.gpus, "en"),
        machine.driver,
        *_largest(machine.largest_comfortable),
        *_largest(machine.largest_usable),
        wish.model if wish else None,
        wish.route if wish else None,
        server.host if server else None,
        server.address if server else None,
        wish.cloud if wish else None,
        machine.api_url,
        " ".join(machine.findings),
        machine.tool_version,
        machine.path,
    )


def _largest(found: LargestModel | None) -> tuple[Value, Value]:
    if found is None:
        return (None, None)
    speed = found.decode_tokens_per_s
    return (found.name, round(speed.value, 2) if speed else None)
