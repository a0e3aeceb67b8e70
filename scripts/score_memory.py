"""Score our llama.cpp memory figures against measured ones: `score_memory.py CSV [--arch JSONL]`.

Reads any file with the columns of tests/truth/llamacpp_memory.csv.gz (plain or gzip). A row's
model is computed from its GGUF metadata when --arch has it, else from the catalog. Exit code 1
when a target is missed or a row cannot be placed.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.model_spec import ModelSpec
from probe.engines.llama_cpp import lay_out
from probe.engines.request import LayerSplit, Request
from probe.errors import ProbeError
from probe.estimate.breakdown import DeviceMemory
from probe.units import MIB
from scripts.csv_rows import UnreadableError, measured_number, read_rows, read_text, whole_number

NEEDED = ("model", "quant", "n_ctx", "n_parallel", "kv_type_k", "kv_type_v", "flash_attn", "n_ubatch")
PARTS = ("weights", "kv", "recurrent", "compute", "total")
# (median, 95th percentile, worst) as fractions; None = no target. The engine prints MiB with
# two or three digits, so "exact" means within that rounding.
TARGETS: dict[str, tuple[float | None, float | None, float | None]] = {
    "weights": (1e-6, 1e-5, 1e-4),
    "kv": (1e-6, 1e-5, 1e-3),
    "recurrent": (1e-6, 1e-5, 1e-3),
    "compute": (0.005, 0.04, None),
    "total": (0.001, 0.003, 0.015),
    "extra_bufts": (0.03, None, None),
}


class Figures(NamedTuple):
    """The parts of one row in MiB."""

    weights: float
    kv: float
    recurrent: float
    compute: float
    repack: float = 0.0

    @property
    def total(self) -> float:
        return self.weights + self.kv + self.recurrent + self.compute + self.repack


class Score(TypedDict):
    """One line of the table; rows of memory name no device."""

    rows: int
    devices: None
    median: float | None
    p90: float | None
    p95: float | None
    worst: float | None
    coverage: float


def notes_of(row: dict[str, str]) -> dict[str, str]:
    """`a=1;b=2` as a dictionary."""
    pairs = (part.partition("=") for part in row.get("notes", "").split(";"))
    return {key.strip(): value for key, _, value in pairs}


def request_of(row: dict[str, str], notes: dict[str, str]) -> Request:
    """What the row asked the engine for; its n_ctx is the context of all conversations together."""
    parallel = whole_number(row, "n_parallel", 1)
    return Request(
        context=whole_number(row, "n_ctx") // parallel,
        parallel=parallel,
        kv_type_k=row["kv_type_k"] or "f16",
        kv_type_v=row["kv_type_v"] or "f16",
        ubatch=whole_number(row, "n_ubatch", 512),
        flash_attention={"on": True, "off": False}.get(row["flash_attn"]),
        kv_unified=notes.get("unified", "0") == "1",
        swa_full=notes.get("swa_full", "0") == "1",
    )


class Models:
    """Finds the model of a row: its GGUF metadata, else the catalog."""

    def __init__(self, arch_lines: Iterable[str]) -> None:
        self._entries: dict[str, dict[str, Any]] = {}
        for number, line in enumerate(arch_lines, 1):
            if line.strip():
                try:
                    entry = json.loads(line)
                    self._entries[entry["model"]] = {**entry, "metadata": dict(entry["metadata"])}
                except (ValueError, KeyError, TypeError) as error:
                    raise UnreadableError(f"--arch: line {number} holds no model and metadata") from error
        self._specs: dict[str, ModelSpec] = {}

    def find(self, name: str) -> ModelSpec:
        """The model called `name`.

        Raises:
            ProbeError: neither the metadata nor the catalog has it.
        """
        if name not in self._specs:
            if name in self._entries:
                self._specs[name] = spec_of(self._entries[name])
            else:
                from probe.catalog.models import find_model

                self._specs[name] = find_model(name)
        return self._specs[name]


def spec_of(entry: dict[str, Any]) -> ModelSpec:
    """The model of one line of the JSONL.

    Metadata alone does not say whether the head is the input table again or attention has
    biases; where the line has the engine's parameter count, that decides.
    """
    from probe.estimate.tensors import fitted_to_count, parameter_count
    from probe.model_files.gguf_model import model_from_metadata

    spec = model_from_metadata(entry["metadata"], name=entry["model"])
    count = entry.get("n_params_llamacpp")
    if not count or spec.dimensions is None:
        return spec
    fitted = fitted_to_count(spec, count)
    if fitted is not spec or fitted.dimensions is None:
        return fitted
    forms = [
        msgspec.structs.replace(
            spec, dimensions=msgspec.structs.replace(spec.dimensions, tie_word_embeddings=tied)
        )
        for tied in (spec.dimensions.tie_word_embeddings, not spec.dimensions.tie_word_embeddings)
    ]
    try:
        return min(forms, key=lambda form: abs(parameter_count(form) - count))
    except ProbeError:
        return spec


def extra_bufts(notes: dict[str, str]) -> bool:
    """Whether the row ran with repacked weights."""
    return notes.get("use_extra_bufts", "0").startswith("1")


def predict(row: dict[str, str], models: Models) -> Figures:
    """Our figures for one row, from its inputs alone.

    Raises:
        ProbeError: unknown model, or a part of it is not modeled.
    """
    from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, NotModeledError
    from probe.estimate.weights import gguf_weights

    notes = notes_of(row)
    spec = models.find(row["model"])
    weights = gguf_weights(spec, row["quant"])
    layout = lay_out(
        spec,
        weights,
        request_of(row, notes),
        LayerSplit(),
        backend="cpu",
        extra_bufts=extra_bufts(notes),
    )

    def sum_of(name: str) -> float:
        values = [getattr(device, name) for device in layout.per_device]
        if any(value is None for value in values):
            raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=spec.architecture)
        return float(sum(values)) / MIB

    def repack(devices: Sequence[DeviceMemory]) -> float:
        return sum(device.repack_bytes.value for device in devices) / MIB

    return Figures(
        weights=sum_of("weights_bytes"),
        kv=sum_of("kv_cache_bytes"),
        recurrent=sum_of("recurrent_state_bytes"),
        compute=sum_of("compute_bytes"),
        repack=repack(layout.per_device),
    )


def measured(row: dict[str, str]) -> Figures | None:
    """What the engine reported; None when the row's measured columns are blank.

    Raises:
        ValueError: a measured column holds no number.
    """
    if not row.get("model_buffer_mib"):
        return None
    return Figures(
        weights=measured_number(row, "model_buffer_mib"),
        kv=measured_number(row, "kv_mib"),
        recurrent=measured_number(row, "rs_mib"),
        compute=measured_number(row, "compute_mib") + measured_number(row, "host_mib"),
    )


def measured_or_none(row: dict[str, str]) -> Figures | None:
    """What the engine reported, None also where that is no number."""
    try:
        return measured(row)
    except ValueError:
        return None


def relative_error(ours: float, real: float) -> float:
    """|ours - real| / real, 0 within the engine's rounding to hundredths of a MiB."""
    if abs(ours - real) <= 0.0051:
        return 0.0
    return abs(ours - real) / real if real else 1.0


def score(errors: Sequence[float], rows: int) -> Score:
    """Percentiles of `errors`; coverage is the share of rows we have an answer for."""
    if not errors:
        return Score(rows=rows, devices=None, median=None, p90=None, p95=None, worst=None, coverage=0.0)
    ordered = sorted(errors)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Score(
        rows=rows,
        devices=None,
        median=at(0.5),
        p90=at(0.9),
        p95=at(0.95),
        worst=ordered[-1],
        coverage=len(errors) / rows,
    )


def missed_targets(table: dict[str, Score]) -> list[str]:
    """Names of the parts above a target."""
    missed = []
    for part, limits in TARGETS.items():
        entry = table.get(part)
        if entry is None or entry["median"] is None:
            continue
        values = (entry["median"], entry["p95"], entry["worst"])
        if any(
            limit is not None and value is not None and value > limit
            for value, limit in zip(values, limits, strict=True)
        ):
            missed.append(part)
    return missed


def run(csv_path: Path, arch: Path | None, predict_to: Path | None, as_json: bool) -> int:
    """Score or predict; returns the exit code."""
    rows = read_rows(csv_path, NEEDED)
    models = Models(read_text(arch).splitlines() if arch else [])
    errors: dict[str, list[float]] = {part: [] for part in (*PARTS, "extra_bufts")}
    counts = dict.fromkeys(errors, 0)
    worst: list[dict[str, object]] = []
    unplaced: list[dict[str, str]] = []
    predicted: list[dict[str, object]] = []
    for number, row in enumerate(rows, start=2):
        ours: Figures | None = None
        real: Figures | None = None
        try:
            ours = predict(row, models)
            real = measured(row)
        except (ProbeError, ValueError) as error:
            unplaced.append({"row": str(number), "model": row["model"], "reason": str(error)})
            if isinstance(error, ProbeError):  # counted as a row that we have no answer for
                real = measured_or_none(row)
        predicted.append({**row, **our_columns(ours)})
        if real is None:
            continue
        if extra_bufts(notes_of(row)):
            counts["extra_bufts"] += 1
            if ours is not None:
                errors["extra_bufts"].append(relative_error(ours.total, real.total))
            continue
        for part in PARTS:
            counts[part] += 1
            if ours is not None:
                errors[part].append(relative_error(getattr(ours, part), getattr(real, part)))
        if ours is not None:
            worst.append(
                {
                    "row": number,
                    "model": row["model"],
                    "error": relative_error(ours.total, real.total),
                    "compute_error": relative_error(ours.compute, real.compute),
                    "ours_mib": round(ours.total, 3),
                    "real_mib": round(real.total, 3),
                    "inputs": {
                        key: row[key]
                        for key in ("n_ctx", "n_parallel", "flash_attn", "n_ubatch", "kv_type_k")
                    },
                }
            )
    if predict_to is not None:
        write_predictions(predict_to, predicted)
    table = {part: score(errors[part], counts[part]) for part in errors}
    worst.sort(key=lambda entry: (-float(str(entry["error"])), -float(str(entry["compute_error"]))))
    missed = missed_targets(table)
    document = {**table, "missed_targets": missed, "worst_rows": worst[:20], "unplaced": unplaced}
    if as_json:
        print(json.dumps(document, indent=1))
    else:
        print_table(table, missed, worst, unplaced)
    return 1 if missed or unplaced else 0


def our_columns(ours: Figures | None) -> dict[str, object]:
    """The columns that --predict adds."""
    names = ("our_weights_mib", "our_kv_mib", "our_rs_mib", "our_compute_mib", "our_repack_mib")
    if ours is None:
        return dict.fromkeys(names, "")
    return dict(zip(names, (round(value, 3) for value in ours), strict=True))


def write_predictions(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """The input's rows with our columns added."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def print_table(
    table: dict[str, Score],
    missed: Sequence[str],
    worst: Sequence[dict[str, object]],
    unplaced: Sequence[dict[str, str]],
) -> None:
    """The scores for a person; errors in percent."""
    print(f"{'part':<12}{'rows':>7}{'coverage':>10}{'median':>10}{'p90':>10}{'p95':>10}{'worst':>10}")
    for part, entry in table.items():
        values = (entry["median"], entry["p90"], entry["p95"], entry["worst"])
        cells = ["-" if value is None else f"{value * 100:.3f}" for value in values]
        print(
            f"{part:<12}{entry['rows']:>7}{entry['coverage']:>10.3f}"
            + "".join(f"{cell:>10}" for cell in cells)
        )
    for entry_row in worst[:10]:
        print(f"worst: {json.dumps(entry_row)}")
    reasons = sorted({(entry["model"], entry["reason"]) for entry in unplaced})
    for model, reason in reasons[:20]:
        print(f"unplaced: {model}: {reason}")
    print("targets missed: " + (", ".join(missed) or "none"))


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--arch", type=Path, help="JSONL of GGUF metadata, as truth/llamacpp_arch.jsonl")
    parser.add_argument("--predict", type=Path, metavar="OUT.csv", help="write the rows with our figures")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        return run(arguments.csv, arguments.arch, arguments.predict, arguments.json)
    except UnreadableError as error:
        parser.error(str(error))


if __name__ == "__main__":
    raise SystemExit(main())
