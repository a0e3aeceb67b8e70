"""What dividing a model costs, from rows with several devices: layer split and tensor split."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.speed_constants import SpeedConstants, SplitConstants
from probe.estimate.speed_class import kernel_class
from probe.estimate.speed_decode import decode_times
from probe.estimate.speed_prompt import chain_seconds, overlaps
from scripts.speed_rows import Case

# Start values where no row says otherwise; the sums of docs on partial offload.
BOUNDARY_S: Final = 2e-4
TENSOR_SYNC_S: Final = 7e-5
# Measured CPU-and-GPU runs reach 0.6 to 0.9 of what both parts' times add up to.
OFFLOAD: Final = (0.6, 0.9)
OVERLAP: Final = (0.0, 0.5, 1.0)
OVERLAP_QUANTILES: Final = (0.1, 0.5, 0.9)


def fit_splits(cases: Sequence[Case], constants: SpeedConstants | None) -> SplitConstants:
    """Seconds of a hop between devices: how much longer several devices take than one with the same layers.

    Compared on the same device, model and quantization, so that no constant of the device enters.
    """
    alone: dict[tuple[str, str, str, str], float] = {}
    for case in cases:
        if case.devices_count == 1 and case.decode:
            alone[_same(case)] = 1 / case.decode
    hops = [
        (1 / case.decode - alone[_same(case)]) / (case.devices_count - 1)
        for case in cases
        if case.devices_count > 1 and case.split == "layer" and case.decode and _same(case) in alone
    ]
    boundary = float(np.median(hops)) if hops else BOUNDARY_S
    syncs = []
    for case in cases:
        if case.split != "tensor" or not case.decode or case.weights is None or constants is None:
            continue
        part = decode_times(
            case.devices[0],
            constants,
            kernel=kernel_class(case.weights.quantization),
            experts=case.moe,
        )
        if part is not None:
            syncs.append(max(0.0, 1 / case.decode - part.total) / len(case.weights.layers))
    sync = float(np.median(syncs)) if syncs else TENSOR_SYNC_S
    shares = overlap_shares(cases)
    overlap = np.quantile(shares, OVERLAP_QUANTILES) if shares else np.array(OVERLAP)
    return SplitConstants(
        boundary_s=round(max(boundary, 0.0), 7),
        tensor_sync_s=round(sync, 7),
        offload_low=OFFLOAD[0],
        offload_high=OFFLOAD[1],
        overlap_low=round(float(np.clip(overlap[0], 0, 1)), 4),
        overlap=round(float(np.clip(overlap[1], 0, 1)), 4),
        overlap_high=round(float(np.clip(overlap[2], 0, 1)), 4),
    )


def overlap_shares(cases: Sequence[Case]) -> list[float]:
    """Share of the possible overlap that prompts reached on several GPUs.

    Against the same prompt on one GPU of the same kind, so that no constant of the device enters;
    0 is one GPU after the other, 1 is no GPU waiting but for the first and last batch.
    """
    alone: dict[tuple[str, str, str, str], float] = {}
    for case in cases:
        if case.devices_count == 1 and case.prompt and case.scores_prompt:
            alone[_same_prompt(case)] = 1 / case.prompt
    found = []
    for case in cases:
        single = alone.get(_same_prompt(case))
        batches = math.ceil(case.prompt_tokens / case.ubatch)
        if not (single and case.prompt and case.split == "layer" and overlaps(case.devices) and batches > 1):
            continue
        best = chain_seconds([single / case.devices_count] * case.devices_count, batches, 1.0)
        found.append((single - 1 / case.prompt) / (single - best))
    return found


def _same(case: Case) -> tuple[str, str, str, str]:
    return (case.device_name, case.row["model"], case.row["quant"], case.row["n_gen"])


def _same_prompt(case: Case) -> tuple[str, str, str, str]:
    return (case.device_name, case.row["model"], case.row["quant"], case.row["n_prompt"])
