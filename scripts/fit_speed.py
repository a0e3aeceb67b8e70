"""Fit the speed model on published measurements: `fit_speed.py` writes catalogs/speed.json.

Data: speed.csv and speed_2026.csv of catalogs/benchmarks without the rows of excluded.csv.
The result depends on the data and the device catalog alone (no clock, no chance), so running
it twice gives the same file. `--check` writes nothing and exits 1 when the file does not belong to the data.
"""

import argparse
import hashlib
import math
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.speed_constants import SpeedConstants, Spread, speed_constants
from probe.estimate.speed import PROMPT_TOKENS, estimate_speed, prompt_figures, prompt_shape
from probe.estimate.speed_calibration import RunInputs, fit_shifts
from probe.estimate.speed_class import CPU
from probe.estimate.speed_figures import SpeedFigures
from scripts.speed_fit import DecodeFit, PromptFit, typical_ratios
from scripts.speed_places import NAMES, ROOT, is_llama_cpp
from scripts.speed_rows import ADDED, DATA, EXCLUDED, Case, engine_of, published
from scripts.speed_splits import fit_splits
from scripts.speed_terms import device_weights, weighted_quantile

OUT: Final = ROOT / "catalogs" / "speed.json"
# Asked of the ranges; devices left out then come out at 80 % or more.
COVERAGE: Final = 0.84
# A class's own residuals weigh like this many devices of the whole before they count alone.
PARENT_DEVICES: Final = 3.0
SHORT_DEPTH: Final = 1024
REFERENCE_BYTES: Final = 4.6e9  # an 8B model at 4 bit


def data_hash() -> str:
    """SHA-256 over the measurements, the names and the exclusions."""
    digest = hashlib.sha256()
    for path in (DATA, ADDED, NAMES, EXCLUDED):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def usable(cases: Sequence[Case]) -> list[Case]:
    """Rows that may be fitted: placed, of llama.cpp and its front ends, not excluded from fitting."""
    return [
        case
        for case in cases
        if case.reason is None
        and is_llama_cpp(case.row)
        and (case.excluded is None or case.excluded.fitted or not case.excluded.decode)
    ]


def fit_constants(cases: Sequence[Case]) -> SpeedConstants:
    """Constants from these rows, with unit spreads; ranges come from `with_spreads`."""
    ratios, matrix = typical_ratios()
    decode_fit = DecodeFit(cases, ratios=ratios)
    decode = decode_fit.constants()
    prompt_fit = PromptFit(cases, decode, ratios=ratios, matrix=matrix)
    prompt = prompt_fit.constants()
    unit = Spread(low=1.0, high=1.0)
    base = SpeedConstants(
        schema_version=1,
        script="scripts/fit_speed.py",
        data=" ".join(str(path.relative_to(ROOT)) for path in (DATA, ADDED)),
        data_sha256=data_hash(),
        fitted=newest(cases),
        decode=decode,
        prompt=prompt,
        split=fit_splits((), None),
        flops_per_byte=ratios,
        matrix_ratio=matrix,
        decode_spread={"": unit},
        prompt_spread={"": unit},
    )
    return msgspec.structs.replace(base, split=fit_splits(cases, base))


def newest(cases: Sequence[Case]) -> str:
    """The newest full date of the rows."""
    days = [day for case in cases for day in re.findall(r"\b20\d\d-\d\d-\d\d\b", case.row["date"])]
    return max(days, default="")


def figures(case: Case, constants: SpeedConstants) -> SpeedFigures | None:
    """Our estimate for one placed row, from its inputs alone."""
    if case.spec is None or case.weights is None:
        return None
    return estimate_speed(
        case.spec,
        case.weights,
        case.devices,
        split=case.split,
        flash_attention=case.flash_attention,
        old_build=case.old_build,
        engine=engine_of(case.row),
        constants=constants,
    )


def prompt_speed(case: Case, constants: SpeedConstants) -> float | None:
    """Prompt tokens a second of one placed row, at the row's own prompt length."""
    if case.spec is None or case.weights is None:
        return None
    found = prompt_figures(
        case.spec,
        case.weights,
        case.prompt_devices,
        split=case.split,
        tokens=case.prompt_tokens or PROMPT_TOKENS,
        depth=case.prompt_depth,
        ubatch=case.ubatch,
        flash_attention=case.flash_attention,
        old_build=case.old_build,
        constants=constants,
    )
    return None if found is None else found.value


# -- ranges -------------------------------------------------------------------


class Answer(NamedTuple):
    """Our figures for one row, without the spread of its class."""

    decode: float | None
    prompt: float | None
    measured: float | None = None  # decode, after one other run on the device
    bandwidth_low: float = 0.0  # logarithms: how far the decode figure moves with the range of the bandwidth
    bandwidth_high: float = 0.0


def answer(case: Case, constants: SpeedConstants) -> Answer:
    """Figures of one placed row; `constants` must have unit spreads."""
    speeds = figures(case, constants)
    decode = speeds.decode_tokens_per_s if speeds else None
    if decode is None:
        return Answer(None, prompt_speed(case, constants))
    return Answer(
        decode.value,
        prompt_speed(case, constants),
        None,
        math.log(decode.low / decode.value),
        math.log(decode.high / decode.value),
    )


def without_each(cases: Sequence[Case]) -> dict[str, SpeedConstants]:
    """For every device the constants fitted without its rows.

    Each fit begins at the priors: begun at the solution of all rows, it would stop where the
    left-out device pulled it.
    """
    return {
        name: fit_constants([case for case in cases if case.device_name != name])
        for name in sorted({case.device_name for case in cases})
    }


def left_out(cases: Sequence[Case], without: Mapping[str, SpeedConstants]) -> dict[int, Answer]:
    """Figures of every row with constants that never saw the row's device."""
    found: dict[int, Answer] = {}
    for name, constants in without.items():
        own = [case for case in cases if case.device_name == name]
        sharpened = after_one(own, constants)
        for case in own:
            other = sharpened.get(case.number)
            found[case.number] = answer(case, constants)._replace(measured=other.decode if other else None)
    return found


class Residual(NamedTuple):
    """log(measured / estimated) of a device left out, beyond what the range of its bandwidth explains."""

    case: Case
    value: float


def residuals(cases: Sequence[Case], answers: Mapping[int, Answer], *, prompt: bool) -> list[Residual]:
    """Of all scored single-device rows."""
    found = []
    for case in cases:
        given = answers[case.number]
        real, ours = (case.prompt, given.prompt) if prompt else (case.decode, given.decode)
        if case.devices_count > 1 or not real or not ours:
            continue
        if not (case.scores_prompt if prompt else case.scores_decode):
            continue
        value = math.log(real / ours)
        known = 0.0 if prompt else given.bandwidth_low if value < 0 else given.bandwidth_high
        rest = math.sqrt(max(0.0, value * value - known * known))
        found.append(Residual(case, math.copysign(rest, value)))
    return found


Place = tuple[str, str, str, str]


def place_of(case: Case) -> Place:
    """Which machine a row ran on, as far as its source tells: device, backend, repository, host."""
    repository = "/".join(case.row["source_url"].split("#")[0].split("/")[:5])
    host = re.search(r"\bhost:? (?:CPU )?([^;]+)", case.row.get("notes", ""))
    return (case.device_name, case.devices[0].backend, repository, host.group(1).strip() if host else "")


def reference_rows(cases: Sequence[Case]) -> dict[Place, Case]:
    """For each machine the run a person would measure: dense, short, Q4_K, nearest to REFERENCE_BYTES."""
    groups: dict[Place, list[Case]] = defaultdict(list)
    for case in cases:
        if case.decode and case.scores_decode and case.devices_count == 1 and not case.moe:
            groups[place_of(case)].append(case)

    def distance(case: Case) -> tuple[bool, bool, float, int]:
        size = case.devices[0].active_weight_bytes
        usual = case.weights is not None and case.weights.quantization.startswith("Q4_K")
        return (case.depth > SHORT_DEPTH, not usual, abs(math.log(size / REFERENCE_BYTES)), case.number)

    return {key: min(rows, key=distance) for key, rows in groups.items() if len(rows) > 1}


def run_inputs(case: Case) -> RunInputs:
    """The case as a measured run."""
    device = case.devices[0]
    return RunInputs(
        device=device.device,
        quantization=case.weights.quantization if case.weights else "",
        weight_bytes=device.active_weight_bytes,
        batch_bytes=0,
        kv_bytes=device.kv_bytes,
        layers=device.layers,
        operations=0.0,
        attention_width=0.0,
        sliding_width=0.0,
        window=0,
        experts=case.moe,
        prompt_tokens=0,
        threads=device.usable_cores,
        flash_attention=case.flash_attention is not False,
        old_build=case.old_build,
        attention_per_cache_byte=prompt_shape(case.spec).attention_per_cache_byte if case.spec else 1.0,
    )


def after_one(cases: Sequence[Case], constants: SpeedConstants) -> dict[int, Answer]:
    """Figures of the rows of one device when its reference run has been measured on it."""
    references = reference_rows(cases)
    found: dict[int, Answer] = {}
    for case in cases:
        reference = references.get(place_of(case))
        if reference is None or reference.number == case.number or case.devices_count > 1:
            continue
        shifts = fit_shifts(
            reference.devices[0], [(run_inputs(reference), reference.decode or 1.0)], constants
        )
        device = msgspec.structs.replace(case.devices[0], shifts=shifts, measured=True)
        found[case.number] = answer(case._replace(devices=(device,)), constants)
    return found


def spreads(values: Sequence[Residual]) -> dict[str, Spread]:
    """Factors that hold COVERAGE of the residuals, by class; small classes lean on all rows."""
    everything = _factors(values, None)
    groups: dict[str, list[Residual]] = defaultdict(list)
    for residual in values:
        device = residual.case.devices[0]
        groups[CPU if device.backend == CPU else f"{device.vendor}/{device.backend}"].append(residual)
    return {"": everything} | {key: _factors(rows, everything) for key, rows in sorted(groups.items())}


def _factors(values: Sequence[Residual], parent: Spread | None) -> Spread:
    points = np.array([residual.value for residual in values])
    weights = device_weights([residual.case.device_name for residual in values])
    low = min(weighted_quantile(points, weights, (1 - COVERAGE) / 2), -0.02)
    high = max(weighted_quantile(points, weights, (1 + COVERAGE) / 2), 0.02)
    if parent is not None:
        devices = len({residual.case.device_name for residual in values})
        share = devices / (devices + PARENT_DEVICES)
        low = share * low + (1 - share) * math.log(parent.low)
        high = share * high + (1 - share) * math.log(parent.high)
    return Spread(low=round(math.exp(low), 4), high=round(math.exp(high), 4))


def with_spreads(
    constants: SpeedConstants, cases: Sequence[Case], answers: Mapping[int, Answer]
) -> SpeedConstants:
    """The constants with ranges calibrated on devices left out."""
    decode = spreads(residuals(cases, answers, prompt=False))
    measured = [
        Residual(case, math.log(case.decode / ours))
        for case in cases
        if case.decode and case.scores_decode and (ours := answers[case.number].measured)
    ]
    decode["measured"] = _factors(measured, None)
    prompt = spreads(residuals(cases, answers, prompt=True))
    # Prompt runs vary as decode runs do, once the device's arithmetic is known.
    prompt["measured"] = decode["measured"]
    return msgspec.structs.replace(constants, decode_spread=decode, prompt_spread=prompt)


def encode(constants: SpeedConstants) -> bytes:
    """The file's bytes."""
    return msgspec.json.format(msgspec.json.encode(constants, order="sorted"), indent=1) + b"\n"


def main() -> int:
    """Fit and write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, compare the data's hash")
    options = parser.parse_args()
    if options.check:
        return 0 if speed_constants().data_sha256 == data_hash() else 1
    cases = usable(published())
    constants = with_spreads(fit_constants(cases), cases, left_out(cases, without_each(cases)))
    OUT.write_bytes(encode(constants))
    print(f"{OUT.relative_to(ROOT)}: {len(cases)} rows, {len({case.device_name for case in cases})} devices")
    return 0


if __name__ == "__main__":
    sys.exit(main())
