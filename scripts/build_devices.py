"""Build the fast device files from the reviewed tables: catalogs/devices/*.csv -> *.json.

`python scripts/build_devices.py` writes, `--check` only compares (the tests do).
Edit the CSV, never the JSON.
"""

import argparse
import csv
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.cpu_rows import (
    CpuForm,
    CpuSpec,
    MemoryOption,
    MemoryPopulation,
    plain_brand,
)
from probe.catalog.gpu_rows import GPU_VENDORS, GpuForm, GpuSpec
from probe.catalog.links import Road, RoadKind
from probe.catalog.npus import DisplayAdapter, NpuSpec
from probe.machine.accelerator import AcceleratorKind, ComputeRates
from probe.units import GB, GIB, MIB

DEVICES = ROOT / "catalogs" / "devices"
Row = dict[str, str]


def table(name: str) -> list[Row]:
    """Rows of one reviewed table; every row must carry its source and date."""
    with (DEVICES / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, start=2):
        if not row.get("source") or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", row.get("retrieved", "")):
            raise SystemExit(f"{name}:{number}: source or retrieved is missing")
    return rows


def text(value: str) -> str | None:
    return value.strip() or None


def parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(";") if part.strip())


def whole(value: str) -> int | None:
    return int(value) if value else None


def number(value: str) -> float | None:
    return float(value) if value else None


def scaled(value: str, factor: int) -> float | None:
    return round(float(value) * factor, 1) if value else None


def compute_rates(row: Row) -> ComputeRates | None:
    rates = ComputeRates(
        fp32_tflops=number(row["fp32_tflops"]),
        fp16_tflops=number(row["fp16_tflops"]),
        bf16_tflops=number(row["bf16_tflops"]),
        fp8_tflops=number(row["fp8_tflops"]),
        int8_tops=number(row["int8_tops"]),
    )
    return None if rates == ComputeRates() else rates


def gpu(row: Row) -> GpuSpec:
    """One typed row; refuses a bandwidth that is not 2 x memory clock x bus width / 8."""
    spec = GpuSpec(
        name=row["name"],
        driver_names=parts(row["driver_names"]),
        aliases=parts(row["aliases"]),
        vendor=row["vendor"],
        form=GpuForm(row["form"]),
        kind=AcceleratorKind(row["kind"]),
        pci_ids=parts(row["pci_ids"]),
        architecture=text(row["architecture"]),
        compute_capability=text(row["compute_capability"]),
        gfx_target=text(row["gfx_target"]),
        memory_options_bytes=tuple(round(float(size) * GIB) for size in parts(row["memory_gib"])),
        reported_memory_bytes=int(row["reported_memory_mib"]) * MIB if row["reported_memory_mib"] else None,
        memory_type=text(row["memory_type"]),
        bus_width_bits=whole(row["bus_width_bits"]),
        memory_clock_mhz=whole(row["memory_clock_mhz"]),
        bandwidth_bytes_per_s=scaled(row["bandwidth_gb_per_s"], GB),
        compute=compute_rates(row),
        pcie_generation=whole(row["pcie_generation"]),
        pcie_width=whole(row["pcie_width"]),
        nvlink_bytes_per_s=scaled(row["nvlink_one_way_gb_per_s"], GB),
        nvlink_always=row["nvlink_always"] == "yes",
        gpu_cores=tuple(int(cores) for cores in parts(row["gpu_cores"])),
        tdp_w=whole(row["tdp_w"]),
        release=text(row["release"]),
        verified=row["verified"] == "yes",
        note=text(row["note"]),
        source=row["source"],
        retrieved=row["retrieved"],
    )
    if spec.memory_clock_mhz and spec.bus_width_bits and spec.bandwidth_bytes_per_s:
        computed = 2 * spec.memory_clock_mhz * 1e6 * spec.bus_width_bits / 8
        if abs(computed / spec.bandwidth_bytes_per_s - 1) > 0.005:
            raise SystemExit(f"{spec.name}: clock x bus gives {computed / GB:.1f} GB/s, row says otherwise")
    return spec


def lines(rows: Sequence[msgspec.Struct]) -> bytes:
    """A JSON array, one row a line: small, and a change shows as one line in a diff."""
    return b"[\n" + b",\n".join(msgspec.json.encode(row) for row in rows) + b"\n]\n"


def gpu_files() -> dict[str, bytes]:
    rows = [gpu(row) for row in table("gpus.csv")]
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise SystemExit("gpus.csv: a name stands twice")
    return {
        f"gpus_{vendor}.json": lines([row for row in rows if row.vendor == vendor]) for vendor in GPU_VENDORS
    }


def populations() -> dict[str, list[MemoryPopulation]]:
    """Counted machines by CPU row, one entry a form."""
    found: dict[str, list[MemoryPopulation]] = {}
    for row in table("memory_population.csv"):
        entry = MemoryPopulation(
            form=row["form"],
            machines=int(row["machines"]),
            share_one_module=float(row["share_one_module"]),
            share_one_channel=number(row["share_one_channel_by_locator"]),
            speed_p10_mt_per_s=int(row["speed_p10"]),
            speed_median_mt_per_s=int(row["speed_median"]),
            speed_p90_mt_per_s=int(row["speed_p90"]),
            ram_median_gib=float(row["ram_gib_median"]),
        )
        found.setdefault(row["cpu_row"], []).append(entry)
    return found


def form_totals(counted: dict[str, list[MemoryPopulation]]) -> list[MemoryPopulation]:
    """All rows of a form together; speeds are left out, they belong to a family."""
    totals = []
    for form in ("desktop", "laptop", "server"):
        rows = [entry for entries in counted.values() for entry in entries if entry.form == form]
        machines = sum(row.machines for row in rows)

        def mean(field: str, rows: list[MemoryPopulation] = rows, machines: int = machines) -> float:
            return float(sum((getattr(row, field) or 0.0) * row.machines for row in rows) / machines)

        totals.append(
            MemoryPopulation(
                form=form,
                machines=machines,
                share_one_module=round(mean("share_one_module"), 3),
                share_one_channel=None,
                speed_p10_mt_per_s=0,
                speed_median_mt_per_s=0,
                speed_p90_mt_per_s=0,
                ram_median_gib=round(mean("ram_median_gib"), 1),
            )
        )
    return totals


def memory_options(value: str) -> tuple[MemoryOption, ...]:
    pairs = [part.rsplit("-", 1) for part in parts(value)]
    return tuple(MemoryOption(type=kind, mt_per_s=int(speed)) for kind, speed in pairs)


def cpu(row: Row, counted: dict[str, list[MemoryPopulation]]) -> CpuSpec:
    """One typed row; refuses a pattern that does not compile or misses its own example."""
    try:
        pattern = re.compile(row["pattern"], re.IGNORECASE)
    except re.error as error:
        raise SystemExit(f"{row['name']}: {error}") from error
    example = plain_brand(row["example"])
    if example and not pattern.search(example):
        raise SystemExit(f"{row['name']}: the pattern misses its example {row['example']}")
    if row["population"] and row["population"] not in counted and row["population"] != row["name"]:
        raise SystemExit(f"{row['name']}: no population row {row['population']}")
    return CpuSpec(
        name=row["name"],
        needs=parts(row["needs"]),
        pattern=row["pattern"],
        vendor=row["vendor"],
        generation=text(row["generation"]),
        form=CpuForm(row["form"]) if row["form"] else None,
        memory_type=text(row["memory_type"]),
        memory_mt_per_s=whole(row["memory_mt_per_s"]),
        channels=whole(row["channels"]),
        channel_width_bits=whole(row["channel_width_bits"]) or 64,
        memory_alternatives=memory_options(row["memory_alternatives"]),
        bus_limit_bytes_per_s=scaled(row["bus_limit_gb_per_s"], GB),
        isa=tuple(row["isa"].split()),
        sockets_max=whole(row["sockets_max"]) or 1,
        npu=text(row["npu"]),
        igpu=text(row["igpu"]),
        populations=tuple(counted.get(row["population"], ())),
        verified=row["verified"] == "yes",
        note=text(row["note"]),
        example=text(row["example"]),
        source=row["source"],
        retrieved=row["retrieved"],
    )


def cpu_files() -> dict[str, bytes]:
    counted = populations()
    rows = [cpu(row, counted) for row in table("cpus.csv")]
    totals = form_totals(counted)
    content = b'{"cpus":' + lines(rows) + b',"form_populations":' + lines(totals) + b"}\n"
    cores = {
        row["model"]: [int(row["physical_cores"]), int(row["logical_cores"])]
        for row in table("cpu_cores.csv")
    }
    return {"cpus.json": content, "cpu_cores.json": msgspec.json.encode(cores) + b"\n"}


def link(row: Row) -> Road:
    theoretical, usable = float(row["theoretical_gb_per_s"]), float(row["usable_gb_per_s"])
    if not 0 < usable <= theoretical:
        raise SystemExit(f"{row['name']}: usable rate above the line's")
    return Road(
        name=row["name"],
        kind=RoadKind(row["kind"]),
        generation=text(row["generation"]),
        width=whole(row["width"]),
        bytes_per_s=round(theoretical * GB),
        usable_bytes_per_s=round(usable * GB),
        usable_basis=text(row["usable_basis"]),
        note=text(row["note"]),
        source=row["source"],
        retrieved=row["retrieved"],
    )


def link_files() -> dict[str, bytes]:
    return {"links.json": lines([link(row) for row in table("links.csv")])}


def npu(row: Row) -> NpuSpec:
    return NpuSpec(
        name=row["name"],
        vendor=row["vendor"],
        kind=AcceleratorKind(row["kind"]),
        pci_ids=parts(row["pci_ids"]),
        os_names=parts(row["os_names"]),
        tops=number(row["tops"]),
        tops_kind=text(row["tops_kind"]),
        memory_bytes=round(float(row["memory_gib"]) * GIB) if row["memory_gib"] else None,
        bandwidth_bytes_per_s=scaled(row["memory_bandwidth_gb_per_s"], GB),
        engines=text(row["engines"]),
        limits=text(row["limits"]),
        software_note=row["software_note"],
        detect_linux=text(row["detect_linux"]),
        detect_windows_macos=text(row["detect_windows_macos"]),
        python_packages=parts(row["python_packages"]),
        verified=row["verified"] == "yes",
        source=row["source"],
        retrieved=row["retrieved"],
    )


def display_adapter(row: Row) -> DisplayAdapter:
    return DisplayAdapter(
        kind=row["kind"],
        pci_ids=parts(row["pci_ids"]),
        names=parts(row["names"]),
        source=row["source"],
        retrieved=row["retrieved"],
    )


def npu_files() -> dict[str, bytes]:
    npus = lines([npu(row) for row in table("npus.csv")])
    adapters = lines([display_adapter(row) for row in table("display_adapters.csv")])
    return {"npus.json": b'{"npus":' + npus + b',"display_adapters":' + adapters + b"}\n"}


BUILDERS: tuple[Callable[[], dict[str, bytes]], ...] = (gpu_files, cpu_files, link_files, npu_files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    arguments = parser.parse_args()
    stale = 0
    for builder in BUILDERS:
        for name, content in builder().items():
            path = DEVICES / name
            if path.exists() and path.read_bytes() == content:
                continue
            stale += 1
            print(f"{name}: {'differs from its table' if arguments.check else 'written'}")
            if not arguments.check:
                path.write_bytes(content)
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
