"""Hold the gain we print for drafting against published runs: `score_speculative.py [CSV] [--json]`.

Every row has a speed without and with drafting on one machine. Its gain is computed from the
machine's name, both models and the number of drafted tokens, and must lie inside the range.
Rows whose engine stopped drafting at uncertain tokens count with the average number of
`gated_tokens`; runs of other engines than llama.cpp are listed as unplaced. Exit code 1 when
less than 80 % lie inside.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.speculative import speculative_table
from probe.errors import ProbeError
from probe.machine import Range
from probe.recommender.options import Options
from probe.recommender.speculate import Draft, gain_of_run

RUNS: Final = ROOT / "catalogs" / "speculative_runs.csv"
WANTED: Final = 0.80
_GATED: Final = "16"  # the engine's default until 2026: 16 at most, stopped at uncertain tokens


class Scored(NamedTuple):
    """One published run against our range."""

    device: str
    model: str
    method: str
    measured: float
    ours: Range

    @property
    def inside(self) -> bool:
        """The measured gain lies inside the printed range."""
        return self.ours.low <= self.measured <= self.ours.high


def scored_rows(path: Path = RUNS) -> tuple[list[Scored], list[str]]:
    """Every row that can be computed, and what could not, with the reason."""
    rows, unplaced = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            where = f"{row['device']} {row['model']}"
            if row["engine"] != "llama.cpp":
                unplaced.append(f"{where}: engine {row['engine']}")
                continue
            try:
                ours = _gain(row)
            except ProbeError as error:
                unplaced.append(f"{where}: {error}")
                continue
            if ours is None:
                unplaced.append(f"{where}: no speed")
                continue
            measured = float(row["with_tok_s"]) / float(row["baseline_tok_s"])
            rows.append(Scored(row["device"], row["model"], row["method"], measured, ours))
    return rows, unplaced


def _gain(row: dict[str, str]) -> Range | None:
    gated = row["drafted"] in {"", _GATED}
    tokens = speculative_table().verify.gated_tokens if gated else int(row["drafted"])
    target = find_model(row["model"])
    draft = Draft(method=row["method"], spec=find_model(row["draft_model"]) if row["draft_model"] else target)
    machine = enrich(from_spec(row["device"]))
    options = Options(context=4096, quantization=row["quantization"])
    return gain_of_run(machine, target, options, draft, tokens=tokens, quantization=row["draft_quantization"])


def main() -> int:
    """Print the table; 1 when too few rows lie inside."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("csv", nargs="?", type=Path, default=RUNS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows, unplaced = scored_rows(asked.csv)
    share = {method: [row.inside for row in rows if row.method == method] for method in ("mtp", "draft")}
    summary = {method: {"rows": len(inside), "inside": sum(inside)} for method, inside in share.items()} | {
        "unplaced": unplaced
    }
    if asked.json:
        print(json.dumps(summary, indent=1))
    else:
        for row in rows:
            mark = " " if row.inside else "!"
            print(
                f"{mark} {row.method:5} {row.device[:30]:30} {row.model:20}"
                f" {row.measured:5.2f}  {row.ours.low:.2f} {row.ours.value:.2f} {row.ours.high:.2f}"
            )
        print(json.dumps(summary))
    return 0 if rows and sum(row.inside for row in rows) >= WANTED * len(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
