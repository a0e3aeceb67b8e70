"""Fit the speed model on published measurements: `fit_speed.py` writes catalogs/speed.json.

Data: catalogs/benchmarks/speed.csv without the rows of excluded.csv. The result depends on
the data and the device catalog alone (no clock, no chance), so running it twice gives the
same file. `--check` writes nothing and exits 1 when the file does not belong to the data.
"""

import argparse
import hashlib
import math
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from speed_fit import DecodeFit, PromptFit, typical_ratios
from speed_rows import DATA, EXCLUDED, NAMES, ROOT, Case, excluded, is_llama_cpp, load, row_key
from speed_splits import fit_splits
from speed_terms import device_weights, weighted_quantile

from probe.catalog.speed_constants import SpeedConstants, Spread, speed_constants
from probe.estimate.speed import PROMPT_TOKENS, estimate_speed, prompt_figures
from probe.estimate.speed_class import CPU, class_keys
from probe.estimate.speed_figures import SpeedFigures

OUT: Final = ROOT / "catalogs" / "speed.json"
# Asked of the ranges; devices left out then come out at 80 % or more.
COVERAGE: Final = 0.84
# A class's own residuals weigh like this many devices of the whole before they count alone.
PARENT_DEVICES: Final = 3.0


def data_hash() -> str:
    """SHA-256 over the measurements, the names and the exclusions."""
    digest = hashlib.sha256()
    for path in (DATA, NAMES, EXCLUDED):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def usable(cases: Sequence[Case]) -> list[Case]:
    """Rows to fit and score: placed, of llama.cpp and its front ends, not excluded."""
    return [
        case
        for case in cases
        if case.reason is None and is_llama_cpp(case.row) and row_key(case.row) not in excluded()
    ]


def fit_constants(cases: Sequence[Case]) -> SpeedConstants:
    """Constants from these rows, with the widest spread; ranges come from `with_spreads`."""
    ratios = typical_ratios()
    decode = DecodeFit(cases, ratios=ratios).constants()
    prompt = PromptFit(cases, decode, ratios=ratios).constants()
    wide = Spread(low=0.5, high=2.0)
    base = SpeedConstants(
        schema_version=1,
        script="scripts/fit_speed.py",
        data=str(DATA.relative_to(ROOT)),
        data_sha256=data_hash(),
        fitted=newest(cases),
        decode=decode,
        prompt=prompt,
        split=fit_splits((), None),
        flops_per_byte=ratios,
        decode_spread={"": wide},
        prompt_spread={"": wide},
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
        flash_attention=case.flash_attention,
        old_build=case.old_build,
        constants=constants,
    )
    return None if found is None else found.value


# -- ranges -------------------------------------------------------------------


def left_out(cases: Sequence[Case]) -> dict[int, tuple[float | None, float | None]]:
    """Decode and prompt speed of every row, with constants that never saw the row's device."""
    found: dict[int, tuple[float | None, float | None]] = {}
    for name in sorted({case.device_name for case in cases}):
        constants = fit_constants([case for case in cases if case.device_name != name])
        for case in cases:
            if case.device_name == name:
                speeds = figures(case, constants)
                decode = speeds.decode_tokens_per_s if speeds else None
                found[case.number] = (decode.value if decode else None, prompt_speed(case, constants))
    return found


def spreads(residuals: Sequence[tuple[Case, float]]) -> dict[str, Spread]:
    """Factors that hold COVERAGE of the residuals, by class; small classes lean on all rows.

    A residual is log(measured / estimated) with the device left out.
    """
    everything = _factors(residuals, None)
    groups: dict[str, list[tuple[Case, float]]] = defaultdict(list)
    for case, value in residuals:
        device = case.devices[0]
        key = CPU if device.backend == CPU else f"{device.vendor}/{device.backend}"
        groups[key].append((case, value))
    found = {"": everything}
    for key, values in sorted(groups.items()):
        if key in class_keys(values[0][0].devices[0]):
            found[key] = _factors(values, everything)
    return found


def _factors(residuals: Sequence[tuple[Case, float]], parent: Spread | None) -> Spread:
    values = np.array([value for _, value in residuals])
    weights = device_weights([case.device_name for case, _ in residuals])
    low = min(weighted_quantile(values, weights, (1 - COVERAGE) / 2), -0.02)
    high = max(weighted_quantile(values, weights, (1 + COVERAGE) / 2), 0.02)
    if parent is not None:
        devices = len({case.device_name for case, _ in residuals})
        share = devices / (devices + PARENT_DEVICES)
        low = share * low + (1 - share) * math.log(parent.low)
        high = share * high + (1 - share) * math.log(parent.high)
    return Spread(low=round(math.exp(low), 4), high=round(math.exp(high), 4))


def with_spreads(constants: SpeedConstants, cases: Sequence[Case]) -> SpeedConstants:
    """The constants with ranges calibrated on devices left out."""
    speeds = left_out(cases)
    single = [case for case in cases if case.devices_count == 1]
    decode = [
        (case, math.log(case.decode / found))
        for case in single
        if case.decode and (found := speeds[case.number][0])
    ]
    prompt = [
        (case, math.log(case.prompt / found))
        for case in single
        if case.prompt and (found := speeds[case.number][1])
    ]
    return msgspec.structs.replace(constants, decode_spread=spreads(decode), prompt_spread=spreads(prompt))


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
    cases = usable(load())
    constants = with_spreads(fit_constants(cases), cases)
    OUT.write_bytes(encode(constants))
    print(f"{OUT.relative_to(ROOT)}: {len(cases)} rows, {len({case.device_name for case in cases})} devices")
    return 0


if __name__ == "__main__":
    sys.exit(main())
