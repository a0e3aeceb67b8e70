"""The table of weights is what the computation gives."""

import subprocess
import sys
from pathlib import Path

from probe.catalog.models import all_models
from probe.estimate.weights import gguf_weights
from probe.estimate.weights.gguf import computed_weights

ROOT = Path(__file__).resolve().parents[2]


def test_table_is_regenerated_not_edited() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/build_weights.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_table_and_computation_give_equal_objects() -> None:
    names = {"meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B", "google/gemma-3-27b-it"}
    specs = [spec for spec in all_models() if spec.id in names]
    assert len(specs) == len(names)
    for spec in specs:
        assert gguf_weights(spec, "Q4_K_M") == computed_weights(spec, "Q4_K_M")
