"""Hold the gain we print for drafting against published runs: `score_speculative.py [CSV] [--check]`.

Every row of catalogs/speculative_runs.csv has a speed without and with drafting on one machine. Its
gain is computed from the machine's name, both models and the number of drafted tokens, and must
lie inside the printed range. "held out": the ends of the range come from the other devices
(scripts/speculative_fit.py); "refitted": the costs of checking as well.
Rows whose engine stopped drafting at uncertain tokens count with the average number of
`gated_tokens`; runs of other engines than llama.cpp are listed as unplaced. Exit code 1 when
less than 80 % of a method's rows lie inside, with all devices or held out. --check: also when the
ends in catalogs/speculative.toml are not those of the runs.
"""

import argparse
import csv
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.speculative import Verification, speculative_table
from probe.errors import ProbeError
from probe.recommender.options import Options
from probe.recommender.speculate import Draft, cost_of_run
from scripts.speculative_fit import METHODS, Run, ends_of, fit_costs

RUNS: Final = ROOT / "catalogs" / "speculative_runs.csv"
WANTED: Final = 0.80
TOLERANCE: Final = 0.05  # of an end: the speed model moves them a little when it is fitted anew
_GATED: Final = "16"  # the engine's default until 2026: 16 at most, stopped at uncertain tokens


def placed_runs(path: Path = RUNS) -> tuple[list[Run], list[str]]:
    """Every row that can be computed, and what could not, with the reason."""
    runs, unplaced = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            where = f"{row['device']} {row['model']}"
            if row["engine"] != "llama.cpp":
                unplaced.append(f"{where}: engine {row['engine']}")
                continue
            try:
                run = _run(row)
            except ProbeError as error:
                unplaced.append(f"{where}: {error}")
                continue
            if run is None:
                unplaced.append(f"{where}: no speed")
            else:
                runs.append(run)
    return runs, unplaced


def _run(row: dict[str, str]) -> Run | None:
    target = find_model(row["model"])
    draft = Draft(method=row["method"], spec=find_model(row["draft_model"]) if row["draft_model"] else target)
    machine = enrich(from_spec(row["device"]))
    options = Options(context=4096, quantization=row["quantization"])
    found = cost_of_run(machine, target, options, draft, quantization=row["draft_quantization"])
    if found is None:
        return None
    cost, backend = found
    return Run(
        device=row["device"],
        model=row["model"],
        method=row["method"],
        drafted=None if row["drafted"] in {"", _GATED} else int(row["drafted"]),
        measured=float(row["with_tok_s"]) / float(row["baseline_tok_s"]),
        cost=cost,
        backend=backend,
        quantization=row["quantization"],
    )


def printed_ends(method: str) -> tuple[float, float]:
    """The chances between which the printed range lies."""
    kept = speculative_table().acceptance[method]
    return kept.low, kept.high


def inside(runs: Sequence[Run]) -> list[bool]:
    """Whether each run lies inside the range that is printed."""
    costs = speculative_table().verify
    return [run.lies_between(printed_ends(run.method), costs) for run in runs]


def inside_held_out(runs: Sequence[Run], *, refit: bool = False) -> list[bool]:
    """Whether each run lies inside the range that runs of other devices give."""
    known = speculative_table().verify
    others = {
        device: [run for run in runs if run.device != device] for device in {run.device for run in runs}
    }
    costs = {device: fit_costs(rest, known) if refit else known for device, rest in others.items()}
    ends = {
        (device, method): ends_of([run for run in rest if run.method == method], costs[device])
        for device, rest in others.items()
        for method in METHODS
    }
    return [run.lies_between(ends[run.device, run.method], costs[run.device]) for run in runs]


def _errors(runs: Sequence[Run], costs: Verification) -> tuple[float, float]:
    """Median and 90th percentile of how far the middle is off, as a share of the measured gain."""
    off = sorted(
        abs(math.log(run.gain(speculative_table().acceptance[run.method].value, costs) / run.measured))
        for run in runs
    )
    return math.expm1(statistics.median(off)), math.expm1(off[int(0.9 * len(off))])


def _apart(one: float, other: float) -> float:
    return abs(one - other)


def main() -> int:
    """Print the table; 1 when too few rows lie inside."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("csv", nargs="?", type=Path, default=RUNS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    runs, unplaced = placed_runs(asked.csv)
    costs = speculative_table().verify
    counted = {
        "inside": inside(runs),
        "held_out": inside_held_out(runs),
        "refitted": inside_held_out(runs, refit=True),
    }
    summary: dict[str, dict[str, object]] = {}
    good = bool(runs)
    for method in METHODS:
        own = [run for run in runs if run.method == method]
        if not own:
            continue
        hits = {
            name: sum(hit for run, hit in zip(runs, found, strict=True) if run.method == method)
            for name, found in counted.items()
        }
        median, worst = _errors(own, costs)
        ends = ends_of(own, costs)
        summary[method] = {
            "rows": len(own),
            "devices": len({run.device for run in own}),
            **hits,
            "middle_off": [round(median, 2), round(worst, 2)],
            "ends": ends,
        }
        good = good and min(hits.values()) >= WANTED * len(own)
        if asked.check and max(map(_apart, ends, printed_ends(method))) > TOLERANCE:
            print(f"{method}: {ends} by the runs, {printed_ends(method)} in the catalog", file=sys.stderr)
            good = False
    if asked.json:
        print(json.dumps(summary | {"unplaced": unplaced}, indent=1))
        return 0 if good else 1
    for run, hit, held in zip(runs, counted["inside"], counted["held_out"], strict=True):
        low, high = (run.gain(end, costs) for end in printed_ends(run.method))
        middle = run.gain(speculative_table().acceptance[run.method].value, costs)
        print(
            f"{' ' if hit else '!'}{' ' if held else 'h'} {run.method:5} {run.device[:30]:30} {run.model:20}"
            f" {run.measured:5.2f}  {low:.2f} {middle:.2f} {high:.2f}"
        )
    print("! outside the printed range, h outside the range of the other devices")
    for line in unplaced:
        print(f"unplaced: {line}")
    for method, figures in summary.items():
        print(method, json.dumps(figures))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
