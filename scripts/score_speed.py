"""Score our speed figures against measured ones: `score_speed.py CSV [--leave-one-device-out]`.

Reads any file with the columns of catalogs/benchmarks/speed.csv (plain or gzip); every device
and model is looked up in the catalog by name, rows that cannot be placed are listed. With
--leave-one-device-out each device is estimated with constants fitted without it. `--predict
OUT.csv` adds our columns without reading the measured ones. Exit code 1 above a target.

Groups: dense = one device, one request, at least 95 % of the parameters active; rtx and
client_cpu are parts of it; moe = one device; multi_gpu; prompt = rows with pp_tok_s;
after_one_measurement = rows scaled by one other run on the same device; other_engines and
excluded (catalogs/benchmarks/excluded.csv) are reported apart and have no target.
"""

import argparse
import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.speed_constants import SpeedConstants, Spread, speed_constants
from probe.estimate.speed import prompt_figures
from probe.machine.ranges import Range
from scripts.csv_rows import UnreadableError
from scripts.fit_speed import after_one, fit_constants, left_out, usable, with_spreads, without_each
from scripts.fit_speed import figures as figures_of
from scripts.speed_places import is_llama_cpp
from scripts.speed_rows import Case, load, published, row_key

# (median, 90th percentile) as shares; devices never fitted on.
TARGETS: Final = {
    "dense": (0.10, 0.30),
    "rtx": (0.06, 0.18),
    "client_cpu": (0.15, 0.35),
    "moe": (0.13, 0.35),
    "prompt": (0.22, 0.70),
    "after_one_measurement": (0.06, 0.18),
}
COVERAGE: Final = 0.80
WORST_ROWS: Final = 40


class Score(TypedDict):
    """One line of the table."""

    rows: int
    devices: int
    median: float | None
    p90: float | None
    p95: float | None
    worst: float | None
    coverage: float | None


class Point(NamedTuple):
    """One measured figure with ours."""

    case: Case
    real: float
    ours: Range

    @property
    def error(self) -> float:
        """|ours - real| / real."""
        return abs(self.ours.value / self.real - 1)

    @property
    def covered(self) -> bool:
        """Whether the measured figure lies in our range."""
        return self.ours.low <= self.real <= self.ours.high


class Given(NamedTuple):
    """Our ranges for one row."""

    decode: Range | None
    prompt: Range | None
    measured: Range | None = None  # decode after one other run on the same device


def score(points: Sequence[Point]) -> Score:
    """Percentiles of the errors, and the share of measured figures inside our range."""
    if not points:
        return Score(rows=0, devices=0, median=None, p90=None, p95=None, worst=None, coverage=None)
    errors = sorted(point.error for point in points)
    return Score(
        rows=len(points),
        devices=len({point.case.device_name for point in points}),
        median=percentile(errors, 0.5),
        p90=percentile(errors, 0.9),
        p95=percentile(errors, 0.95),
        worst=errors[-1],
        coverage=sum(point.covered for point in points) / len(points),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie, interpolated."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def given_of(case: Case, constants: SpeedConstants) -> Given:
    """Our ranges for a placed row, from its inputs alone."""
    speeds = figures_of(case, constants)
    prompt = None
    if case.spec is not None and case.weights is not None:
        prompt = prompt_figures(
            case.spec,
            case.weights,
            case.prompt_devices,
            split=case.split,
            tokens=case.prompt_tokens or 512,
            depth=case.prompt_depth,
            ubatch=case.ubatch,
            flash_attention=case.flash_attention,
            old_build=case.old_build,
            constants=constants,
        )
    return Given(speeds.decode_tokens_per_s if speeds else None, prompt)


def estimates(cases: Sequence[Case], *, leave_out: bool) -> dict[int, Given]:
    """Our ranges for every placed row."""
    placed = [case for case in cases if case.reason is None]
    if not leave_out:
        constants = speed_constants()
        return _given(placed, constants)
    training = usable(published())
    without = without_each(training)
    shared = with_spreads(fit_constants(training), training, left_out(training, without))
    found: dict[int, Given] = {}
    for name in sorted({case.device_name for case in placed}):
        own = without.get(name)
        constants = shared if own is None else _with_ranges(own, shared)
        found |= _given([case for case in placed if case.device_name == name], constants)
    return found


def _given(cases: Sequence[Case], constants: SpeedConstants) -> dict[int, Given]:
    found = {case.number: given_of(case, constants) for case in cases}
    spread = constants.decode_spread.get("measured", Spread(low=0.8, high=1.25))
    scored = [case for case in cases if is_llama_cpp(case.row)]
    for number, sharp in after_one(scored, constants).items():
        if sharp.decode is not None:
            low, high = sharp.decode * spread.low, sharp.decode * spread.high
            ours = Range(low=low, value=sharp.decode, high=high, basis="measured")
            found[number] = found[number]._replace(measured=ours)
    return found


def _with_ranges(constants: SpeedConstants, ranges: SpeedConstants) -> SpeedConstants:
    """Constants without a device; the spread of its class is that of all devices left out in turn."""
    import msgspec

    return msgspec.structs.replace(
        constants, decode_spread=ranges.decode_spread, prompt_spread=ranges.prompt_spread
    )


def groups_of(cases: Sequence[Case], given: Mapping[int, Given]) -> dict[str, list[Point]]:
    """The points of every group."""
    found: dict[str, list[Point]] = defaultdict(list)
    for case in cases:
        ours = given.get(case.number)
        if ours is None:
            continue
        if case.decode and ours.decode is not None:
            point = Point(case, case.decode, ours.decode)
            for name in decode_groups(case):
                found[name].append(point)
        if case.prompt and ours.prompt is not None and case.prompt_tokens:
            prompt = Point(case, case.prompt, ours.prompt)
            if not is_llama_cpp(case.row):
                continue
            if case.devices_count == 1:
                found["prompt" if case.scores_prompt else "excluded"].append(prompt)
            else:
                found["multi_gpu_prompt"].append(prompt)
    return found


def decode_groups(case: Case) -> tuple[str, ...]:
    """The groups that a row's decode figure belongs to."""
    if not is_llama_cpp(case.row):
        return ("other_engines",)
    if not case.scores_decode:
        return ("excluded",)
    if case.devices_count > 1:
        return ("multi_gpu",)
    if case.moe:
        return ("moe",)
    names = ["dense"]
    if "RTX" in case.device_name and case.devices[0].backend != "cpu":
        names.append("rtx")
    if case.client:
        names.append("client_cpu")
    return tuple(names)


def measured_points(cases: Sequence[Case], given: Mapping[int, Given]) -> list[Point]:
    """Rows estimated after one other run on the same device and backend."""
    return [
        Point(case, case.decode, given[case.number].measured or Range(low=0, value=0, high=0, basis=""))
        for case in cases
        if case.number in given and case.decode and case.scores_decode and given[case.number].measured
    ]


def missed(table: Mapping[str, Score]) -> list[str]:
    """Targets that are not met, as text."""
    found = []
    for name, limits in TARGETS.items():
        entry = table.get(name)
        if entry is None or entry["median"] is None:
            continue
        for label, limit in zip(("median", "p90"), limits, strict=True):
            value = entry["median"] if label == "median" else entry["p90"]
            if value is not None and value > limit:
                found.append(f"{name} {label} {value:.1%} > {limit:.0%}")
        coverage = entry["coverage"]
        if coverage is not None and coverage < COVERAGE:
            found.append(f"{name} coverage {coverage:.0%} < {COVERAGE:.0%}")
    return found


def worst_rows(points: Sequence[Point]) -> list[dict[str, object]]:
    """The largest errors, with what was asked."""
    ranked = sorted(points, key=lambda point: -point.error)[:WORST_ROWS]
    return [
        {
            "line": point.case.number,
            "device": point.case.row["device"],
            "backend": point.case.row["backend"],
            "model": point.case.row["model"],
            "quant": point.case.row["quant"],
            "real": point.real,
            "ours": round(point.ours.value, 2),
            "low": round(point.ours.low, 2),
            "high": round(point.ours.high, 2),
            "error": round(point.error, 4),
            "basis": point.ours.basis,
        }
        for point in ranked
    ]


def write_predictions(path: Path, cases: Sequence[Case], given: Mapping[int, Given]) -> None:
    """The input's rows with our columns; computed from the inputs alone, so measured columns may be blank."""
    columns = ("our_tg_tok_s", "our_tg_low", "our_tg_high", "our_pp_tok_s")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=[*cases[0].row, *columns] if cases else list(columns))
        writer.writeheader()
        for case in cases:
            ours = given.get(case.copy_of or case.number, Given(None, None))
            decode, prompt = ours.decode, ours.prompt
            values = (
                decode.value if decode else None,
                decode.low if decode else None,
                decode.high if decode else None,
                prompt.value if prompt else None,
            )
            shown = {
                name: "" if value is None else f"{value:.4g}"
                for name, value in zip(columns, values, strict=True)
            }
            writer.writerow({**case.row, **shown})


def print_table(document: Mapping[str, object], table: Mapping[str, Score]) -> None:
    """The scores for a person; errors in percent."""
    print(
        f"{'group':<22}{'rows':>6}{'devices':>9}{'median':>9}{'p90':>9}{'p95':>9}{'worst':>9}{'in range':>10}"
    )
    for name, entry in table.items():
        cells = [entry["median"], entry["p90"], entry["p95"], entry["worst"], entry["coverage"]]
        shown = ["-" if cell is None else f"{cell * 100:.1f}" for cell in cells]
        print(
            f"{name:<22}{entry['rows']:>6}{entry['devices']:>9}"
            + "".join(f"{cell:>9}" for cell in shown[:4])
            + f"{shown[4]:>10}"
        )
    for key in ("missed_targets", "unplaced"):
        entries = document[key]
        if isinstance(entries, list):
            print(f"{key}: {len(entries)}")
            for entry in entries:
                print(f"  {entry}")


def main() -> int:
    """Score or predict; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("csv", type=Path)
    parser.add_argument("--leave-one-device-out", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--predict", type=Path, metavar="OUT.csv")
    options = parser.parse_args()
    try:
        cases = load(options.csv)
    except UnreadableError as error:
        parser.error(str(error))
    given = estimates(cases, leave_out=options.leave_one_device_out)
    if options.predict is not None:
        write_predictions(options.predict, cases, given)
    groups = groups_of(cases, given)
    groups["after_one_measurement"] = measured_points(cases, given)
    names = ("dense", "rtx", "client_cpu", "moe", "multi_gpu", "prompt", "after_one_measurement")
    rest = sorted(set(groups) - set(names))
    table = {name: score(groups[name]) for name in (*names, *rest)}
    unplaced = [
        {"line": case.number, "device": case.row["device"], "model": case.row["model"], "reason": case.reason}
        for case in cases
        if case.reason is not None
    ]
    document: dict[str, object] = {
        **table,
        "missed_targets": missed(table),
        "bandwidth_from_file": sum(case.from_file for case in cases),
        "leave_one_device_out": options.leave_one_device_out,
        "worst_rows": worst_rows([*groups["dense"], *groups["moe"], *groups["prompt"]]),
        "excluded_rows": [
            {"line": case.number, "key": list(row_key(case.row)), "reason": case.excluded.reason}
            for case in cases
            if case.excluded is not None
        ],
        "unplaced": unplaced,
    }
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        print_table(document, table)
    return 1 if document["missed_targets"] else 0


if __name__ == "__main__":
    sys.exit(main())
