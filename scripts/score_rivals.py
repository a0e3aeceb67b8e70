"""Score the usual speed formulas on the same rows as ours: `score_rivals.py PREDICTIONS.csv`.

PREDICTIONS.csv is what `score_speed.py CSV --leave-one-device-out --predict OUT.csv` wrote:
the measured rows with our figure for a device never fitted on. The others need no fitting:

- roofline: bandwidth / bytes of the file;
- 0.70 roofline: the same with a usual share;
- llmfit: 0.55 x bandwidth / (parameters x bytes a parameter) on GPUs, dense models
  (llmfit-core/src/fit.rs, estimate_tps, at 3f44fd3 of 2026-08-22; its CPU formula ignores the machine).

Bandwidths are those that ours is given, so no formula suffers from a wrong table.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.estimate.roofline import reading_rate
from probe.estimate.speed_class import CPU
from scripts.score_speed import decode_groups, percentile
from scripts.speed_places import is_llama_cpp, number
from scripts.speed_rows import Case, load

GROUPS: Final = ("dense", "rtx", "client_cpu", "moe")
# Bytes a parameter that llmfit takes (llmfit-core/src/models.rs, quant_bytes_per_param).
LLMFIT_BYTES: Final = {
    "F16": 2.0,
    "BF16": 2.0,
    "Q8": 1.0,
    "Q6": 0.75,
    "Q5": 0.625,
    "Q4": 0.5,
    "Q3": 0.375,
    "Q2": 0.25,
}
LLMFIT_SHARE: Final = 0.55


def figures(case: Case) -> dict[str, float]:
    """Tokens a second by every formula that answers for this row."""
    device = case.devices[0]
    rate = reading_rate(device)
    if rate is None or case.weights is None:
        return {}
    found = {
        "roofline": rate / case.weights.file_bytes,
        "0.70 roofline": 0.7 * rate / case.weights.file_bytes,
    }
    total = number(case.row["params_total_b"])
    name = case.weights.quantization.upper().lstrip("I")
    size = next((size for start, size in LLMFIT_BYTES.items() if name.startswith(start)), None)
    if device.backend != CPU and not case.moe and total and size:
        found["llmfit"] = LLMFIT_SHARE * rate / (total * 1e9 * size)
    ours = number(case.row.get("our_tg_tok_s"))
    return found | ({"probe": ours} if ours else {})


def main() -> int:
    """Print median and 90th percentile of the error by group and formula."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("predictions", type=Path)
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    for case in load(parser.parse_args().predictions):
        if case.reason or not case.decode or not case.scores_decode or not is_llama_cpp(case.row):
            continue
        if case.devices_count > 1:
            continue
        for name, value in figures(case).items():
            for group in decode_groups(case):
                if group in GROUPS:
                    errors[(group, name)].append(abs(value / case.decode - 1))
    print(f"{'group':<12}{'formula':<16}{'rows':>6}{'median':>9}{'p90':>9}")
    for group in GROUPS:
        for name in ("probe", "llmfit", "0.70 roofline", "roofline"):
            values = sorted(errors[(group, name)])
            if values:
                middle, high = (percentile(values, share) for share in (0.5, 0.9))
                print(f"{group:<12}{name:<16}{len(values):>6}{middle:>9.1%}{high:>9.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
