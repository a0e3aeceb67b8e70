"""Memory of real contexts, as llama.cpp reported them: our figures are the engine's own."""

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probe.catalog.models import all_models
from probe.engines.llama_cpp import lay_out
from probe.engines.request import LayerSplit, Request
from probe.estimate.weights import gguf_weights

ROOT = Path(__file__).resolve().parents[2]
TRUTH = ROOT / "tests/truth"
CATALOG = {model.id: model for model in all_models()}
PARTS = ("weights", "kv", "recurrent", "compute", "total")


def scored(measured: Path, metadata: Path, *more: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "scripts/score_memory.py", str(measured), "--arch", str(metadata), "--json", *more],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_every_measured_context_comes_out_to_the_engines_last_digit() -> None:
    code, report = scored(TRUTH / "llamacpp_memory.csv.gz", TRUTH / "llamacpp_arch.jsonl")
    assert code == 0
    assert report["unplaced"] == []
    assert sum(report[part]["rows"] for part in ("total", "extra_bufts")) == 1171
    for part in (*PARTS, "extra_bufts"):
        assert report[part]["worst"] < 2e-5, part


def test_further_architectures_come_out_as_well() -> None:
    """MiniMax-M3's rows are of a conversation as long as the context: its engine reserves for 256 tokens."""
    code, report = scored(TRUTH / "llamacpp_memory_further.csv.gz", TRUTH / "llamacpp_arch_further.jsonl.gz")
    assert code == 0
    assert report["unplaced"] == []
    for part in PARTS:
        assert report[part]["worst"] < 5e-5, part
        assert report[part]["coverage"] == 1


def test_rows_without_measurement_are_predicted(tmp_path: Path) -> None:
    text = gzip.decompress((TRUTH / "llamacpp_memory.csv.gz").read_bytes()).decode().splitlines()
    rows = list(csv.DictReader(text[:4]))
    blank = [
        {**row, "model_buffer_mib": "", "kv_mib": "", "rs_mib": "", "compute_mib": "", "host_mib": ""}
        for row in rows
    ]
    asked, answered = tmp_path / "asked.csv", tmp_path / "answered.csv"
    with asked.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(blank)
    code, _ = scored(asked, TRUTH / "llamacpp_arch.jsonl", "--predict", str(answered))
    assert code == 0
    with answered.open(newline="") as stream:
        for ours, real in zip(csv.DictReader(stream), rows, strict=True):
            assert float(ours["our_weights_mib"]) == pytest.approx(float(real["model_buffer_mib"]), abs=0.01)
            scratch = float(real["compute_mib"]) + float(real["host_mib"])
            assert float(ours["our_compute_mib"]) == pytest.approx(scratch, abs=0.011)


def test_a_row_of_an_unknown_model_fails_the_run(tmp_path: Path) -> None:
    text = gzip.decompress((TRUTH / "llamacpp_memory.csv.gz").read_bytes()).decode().splitlines()
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([text[0], text[1].replace("Llama-3.1-8B", "No-Such-Model-9B")]) + "\n")
    code, report = scored(path, TRUTH / "llamacpp_arch.jsonl")
    assert code == 1
    assert report["unplaced"][0]["model"] == "No-Such-Model-9B"


def device_cases() -> Iterator[tuple[dict[str, str], list[int]]]:
    text = gzip.decompress((TRUTH / "llamacpp_devices.csv.gz").read_bytes()).decode()
    for row in csv.DictReader(text.splitlines()):
        if row["model"] in CATALOG:
            yield row, [int(size) for size in row["compute_bytes"].split()]


def our_buffers(row: dict[str, str]) -> list[int] | None:
    """Compute buffers of the GPUs, then of the host without the output buffer."""
    spec = CATALOG[row["model"]]
    weights = gguf_weights(spec, "F16")
    shares = tuple((f"gpu{index}", float(part)) for index, part in enumerate(row["shares"].split(":")))
    gpu_layers = min(int(row["gpu_layers"]), len(weights.layers) + 1)
    split = LayerSplit(gpu_layers=gpu_layers, shares=shares, cpu_expert_layers=int(row["cpu_expert_layers"]))
    parallel = int(row["n_parallel"])
    request = Request(
        context=int(row["n_ctx"]) // parallel,
        parallel=parallel,
        kv_type_k=row["kv_type"],
        kv_type_v=row["kv_type"],
        flash_attention=row["flash_attn"] == "on",
    )
    devices = {
        device.device: device for device in lay_out(spec, weights, request, split, backend="cuda").per_device
    }
    sizes = [devices[name].compute_bytes for name, _ in shares]
    return None if None in sizes else [size for size in sizes if size is not None]


def test_gpus_get_what_llama_cpps_scheduler_gives_simulated_ones() -> None:
    errors: dict[str, list[float]] = {"one": [], "several": [], "experts on the host": [], "offloaded": []}
    for row, real in device_cases():
        ours = our_buffers(row)
        if ours is None:
            continue
        everything = int(row["gpu_layers"]) == 999
        if int(row["cpu_expert_layers"]):
            kind = "experts on the host"
        elif not everything:
            kind = "offloaded"
        else:
            kind = "one" if len(ours) == 1 else "several"
        errors[kind] += [abs(mine - size) / size for mine, size in zip(ours, real[:-1], strict=True) if size]
    assert len(errors["one"]) > 300
    assert sum(error == 0 for error in errors["one"]) / len(errors["one"]) > 0.95
    for kind, median, upper in (
        ("one", 0.0, 0.001),
        ("several", 0.0001, 0.20),
        ("experts on the host", 0.0, 0.001),
        ("offloaded", 0.06, 0.25),
    ):
        ordered = sorted(errors[kind])
        assert ordered[len(ordered) // 2] <= median, kind
        assert ordered[len(ordered) * 9 // 10] <= upper, kind
