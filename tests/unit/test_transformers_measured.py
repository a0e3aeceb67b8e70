"""Transformers' memory as computed against what the library took: tests/truth/transformers_measured.json.

Made by scripts/measure_transformers_memory.py with real classes of transformers on a CPU.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.measure_transformers_memory import computed

RECORD = json.loads(
    (Path(__file__).resolve().parents[1] / "truth" / "transformers_measured.json").read_text(encoding="utf-8")
)
PROMPTS = [case for case in RECORD["cases"] if "prompt_tokens" in case["measured"]]


def label(case: dict[str, Any]) -> str:
    return f"{case['model']}-{case['format']}-{case['measured'].get('prompt_tokens', 'weights')}"


@pytest.mark.parametrize("case", RECORD["cases"], ids=label)
def test_weights_are_what_the_library_holds(case: dict[str, Any]) -> None:
    """To the byte; doubly quantized scales carry 32 bytes a matrix that only the file has."""
    ours = computed(case["model"], case["format"], case["measured"])["weights_bytes"]
    slack = 3e-5 if case["format"] == "bnb-nf4-double" else 0
    assert ours == pytest.approx(case["measured"]["weights_bytes"], rel=slack)


@pytest.mark.parametrize("case", PROMPTS, ids=label)
def test_cache_is_what_the_library_holds_to_the_byte(case: dict[str, Any]) -> None:
    ours = computed(case["model"], case["format"], case["measured"])
    assert ours["cache_bytes"] == case["measured"]["cache_bytes"]


@pytest.mark.parametrize("case", PROMPTS, ids=label)
def test_peak_of_an_answer_lies_in_the_printed_range(case: dict[str, Any]) -> None:
    """The value within 30 %: peaks of the same prompt differ by up to 20 % between runs."""
    ours = computed(case["model"], case["format"], case["measured"])
    peak = case["measured"]["peak_bytes"]
    assert ours["low_bytes"] <= peak <= ours["high_bytes"]
    assert ours["peak_bytes"] == pytest.approx(peak, rel=0.3)


def test_process_without_a_model_lies_in_its_band() -> None:
    from probe.catalog.engine_memory import engine_memory_rules

    band = engine_memory_rules().transformers.process
    assert all(band.low_bytes <= case["measured"]["process_bytes"] < band.high_bytes for case in PROMPTS)


def test_record_holds_three_families_and_four_formats() -> None:
    assert {case["model"] for case in RECORD["cases"]} == {"llama", "qwen3", "gemma3"}
    assert {case["format"] for case in RECORD["cases"]} == {"bf16", "bnb-nf4", "bnb-nf4-double", "bnb-int8"}
