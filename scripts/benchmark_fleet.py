"""Measure `probe fleet` on a generated group: `python scripts/benchmark_fleet.py [--count 1000,10000]`.

The group is made of real reports of several machines, each copy with an id, a name, a
date, an amount of free memory and model lines of its own, written as `probe --share` writes
them. Printed are CPU time and peak memory of the whole command beside bare Python, the
growth per report, and time and memory of `--json`, which holds an answer for every model
on every machine. Exit code 1 above the limits (0.3 s for 1,000 reports, 2 s and 300 MB for
10,000, 400 MB with `--json`, in units of a computer where bare Python takes 11 ms).
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import msgspec

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.recommender.answer import Verdict
from probe.recommender.options import Options
from probe.report.build import build_report
from probe.report.documents import ModelLine, ReportDocument
from probe.report.encode import to_json
from probe.report.model_index import with_model_index
from scripts.benchmark_startup import cpu_ms

MACHINES = (
    "Core i5-8500; 16GB DDR4-2666 x1; windows 11",
    "Core i5-12400; 16GB DDR4-3200 x2; windows 11",
    "Core i7-1260P; 16GB LPDDR5-5200 x2; windows 11",
    "Ryzen 5 5600G; 32GB DDR4-3200 x2; windows 10",
    "Core i7-13700; 32GB DDR5-4800 x2; RTX 3060 12GB; windows 11",
    "Ryzen 7 7700X; 32GB DDR5-5600 x2; RTX 4060 Ti 16GB; windows 11",
    "Ryzen 9 7950X; 64GB DDR5-5600 x2; RTX 4090; ubuntu 24.04",
    "M2 16GB",
    "M4 Max 64GB",
    "2x Xeon Silver 4314; 256GB DDR4-3200 x16; 2x Tesla P100 12GB; ubuntu 22.04",
    "DGX Spark",
    "2x EPYC 9554; 768GB DDR5-4800 x24; 8x H100 SXM; ubuntu 24.04",
)
LIMITS = {1000: (0.3, 300.0), 10000: (2.0, 300.0)}
JSON_LIMIT_MB = 400.0
BARE_PYTHON_S = 0.011
VERDICTS = tuple(Verdict)


def reports() -> list[ReportDocument]:
    """One real report of each machine."""
    return [
        build_report(
            enrich(from_spec(spec)), Options(), lang=("ko", "en")[at % 2], created_at="2026-11-01T00:00:00Z"
        )
        for at, spec in enumerate(MACHINES)
    ]


def varied(report: ReportDocument, number: int, chance: random.Random) -> ReportDocument:
    """The report as another machine of the same kind might have made it."""
    machine = report.machine
    host = msgspec.structs.replace(
        machine.host, id=f"{chance.getrandbits(128):032x}", name=f"pc-{number:05d}"
    )
    memory = msgspec.structs.replace(machine.memory, available_bytes=chance.randrange(2**30, 2**33))
    factor = chance.uniform(0.85, 1.15)
    lines = tuple(_varied_line(line, factor, chance) for line in report.models)
    return with_model_index(
        msgspec.structs.replace(
            report,
            created_at=f"2026-{chance.randrange(7, 12):02d}-{chance.randrange(1, 29):02d}T08:00:00Z",
            machine=msgspec.structs.replace(machine, host=host, memory=memory),
            models=lines,
            api_url=f"http://10.0.0.{number % 250}:8000" if number % 100 == 9 else None,
        )
    )


def _varied_line(line: ModelLine, factor: float, chance: random.Random) -> ModelLine:
    speed = line.decode_tokens_per_s
    verdict = chance.choice(VERDICTS) if chance.random() < 0.02 else line.verdict
    return msgspec.structs.replace(
        line, verdict=verdict, decode_tokens_per_s=None if speed is None else speed.scaled(factor)
    )


def generate(folder: Path, count: int, *, pretty: bool = False) -> int:
    """Write `count` reports; the bytes written."""
    chance = random.Random(20261121)  # noqa: S311 - a benchmark, not a secret
    kinds = reports()
    written = 0
    for number in range(count):
        text = to_json(varied(kinds[number % len(kinds)], number, chance), pretty=pretty)
        (folder / f"pc-{number:05d}.json").write_bytes(text)
        written += len(text)
    return written


def used(*arguments: str) -> tuple[float, float]:
    """CPU time and peak memory (MB) of one run, whose small parent leaves it no peak of its own."""
    program = (
        "import resource,subprocess,sys;"
        "subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    command = [sys.executable, "-S", "-c", program, sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    cpu_s, peak = done.stdout.split()
    return float(cpu_s), int(peak) * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> int:
    """Generate, measure, print; 1 above a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", default="1000,2000,5000,10000", help="sizes of the group")
    parser.add_argument("--runs", type=int, default=3, help="the best of so many")
    parser.add_argument("--keep", type=Path, help="write the group here and leave it")
    parser.add_argument("--pretty", action="store_true", help="indented, as `probe --json > file` writes it")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    python = min(cpu_ms([sys.executable, "-c", "pass"]) for _ in range(7)) / 1000
    rows = []
    over = False
    for count in sorted({int(part) for part in arguments.count.split(",")}):
        folder = arguments.keep or Path(tempfile.mkdtemp(prefix="probe-fleet-"))
        folder.mkdir(parents=True, exist_ok=True)
        size = generate(folder, count, pretty=arguments.pretty)
        command = ["-m", "probe", "fleet", str(folder), "--lang", "en"]
        _, peak = used(*command)
        json_cpu, json_peak = used(*command, "--json")
        cpu = min(cpu_ms([sys.executable, *command]) for _ in range(arguments.runs)) / 1000
        scaled = cpu * BARE_PYTHON_S / python
        limit = LIMITS.get(count)
        over |= limit is not None and (scaled > limit[0] or peak > limit[1] or json_peak > JSON_LIMIT_MB)
        rows.append(
            {
                "reports": count,
                "mb": round(size / 1e6, 1),
                "cpu_s": round(cpu, 3),
                "bare_python_s": round(python, 4),
                "cpu_s_at_11_ms": round(scaled, 3),
                "peak_mb": round(peak, 1),
                "us_per_report": round(cpu / count * 1e6, 1),
                "json_cpu_s": round(json_cpu, 3),
                "json_peak_mb": round(json_peak, 1),
            }
        )
        if not arguments.keep:
            shutil.rmtree(folder)
    if arguments.json:
        print(json.dumps({"rows": rows, "over": over}, indent=1))
    else:
        print("reports      MB   CPU s  at 11 ms   peak MB  us/report  JSON CPU s  JSON peak MB")
        for row in rows:
            print(
                f"{row['reports']:7,d} {row['mb']:7.1f} {row['cpu_s']:7.3f} {row['cpu_s_at_11_ms']:9.3f}"
                f" {row['peak_mb']:9.1f} {row['us_per_report']:10.1f}"
                f" {row['json_cpu_s']:11.2f} {row['json_peak_mb']:13.1f}"
            )
        print(f"bare Python: {rows[0]['bare_python_s'] * 1000:.1f} ms")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
