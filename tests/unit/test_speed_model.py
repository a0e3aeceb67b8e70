"""The speed model: constants that belong to their data, and figures that move the right way."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.catalog.speed_constants import speed_constants
from probe.recommender.fit import Estimator
from probe.recommender.options import Options

ROOT = Path(__file__).resolve().parents[2]


def decode(
    spec: str, model: str = "llama-3.1-8b", quantization: str = "Q4_K_M", context: int = 8192
) -> float:
    estimator = Estimator(enrich(from_spec(spec)), Options(context=context))
    speed = estimator.estimate(find_model(model), quantization, full=False).speed.decode_tokens_per_s
    assert speed is not None
    assert 0 < speed.low <= speed.value <= speed.high
    return speed.value


def test_constants_belong_to_the_measurements_beside_them() -> None:
    digest = hashlib.sha256()
    for name in ("speed.csv", "speed_2026.csv", "device_names.csv", "excluded.csv"):
        digest.update((ROOT / "catalogs" / "benchmarks" / name).read_bytes())
    assert digest.hexdigest() == speed_constants().data_sha256


def test_a_second_memory_channel_helps_and_never_more_than_twice() -> None:
    one, two = (decode(f"Core i5-8500; 16GB DDR4-2666 x{channels}") for channels in (1, 2))
    assert 1.3 * one < two <= 2 * one


@pytest.mark.parametrize("machine", ["RTX 4090", "Core i5-8500; 16GB DDR4-2666 x2", "M4 Max 64GB"])
def test_more_bits_are_never_quicker(machine: str) -> None:
    speeds = [decode(machine, quantization=name) for name in ("Q4_K_M", "Q6_K", "Q8_0")]
    assert speeds == sorted(speeds, reverse=True)


def test_layer_split_adds_no_decode_speed() -> None:
    """Published: two RTX 3090 reach 0.97 of one."""
    one, two = decode("RTX 3090"), decode("2x RTX 3090", model="llama-3.1-8b")
    assert two == pytest.approx(one, rel=0.1)
    whole = decode("2x RTX 3090; Ryzen 7 7700; 64GB DDR5-5600 x2", model="llama-3.3-70b")
    assert whole < one / 4


def test_coherent_memory_is_slower_than_gpu_memory() -> None:
    system = "GH200 96GB; 480GB LPDDR5X"
    assert decode(system, "llama-3.3-70b", "F16") < 0.5 * decode(system, "llama-3.3-70b", "Q8_0")


def test_scorer_places_and_scores_published_rows() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/score_speed.py", "catalogs/benchmarks/speed.csv", "--json"],
        cwd=ROOT,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    scores = json.loads(done.stdout)
    assert scores["dense"]["rows"] > 400
    assert scores["dense"]["median"] < 10
    assert scores["rtx"]["median"] < 6
    assert scores["dense"]["coverage"] >= 0.8
    assert all("reason" in row for row in scores["unplaced"])
