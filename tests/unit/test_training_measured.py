"""What `probe train` computes against what PyTorch held: tests/truth/training_measured.json.

Made by scripts/check_training_memory.py with real classes of transformers and peft.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.check_training_memory import computed

RECORD = json.loads(
    (Path(__file__).resolve().parents[1] / "truth" / "training_measured.json").read_text(encoding="utf-8")
)


def label(case: dict[str, Any]) -> str:
    setup = case["setup"]
    words = (setup["method"], setup.get("precision"), setup.get("optimizer"), *setup.get("targets", ()))
    ending = "checkpointing" if setup["checkpointing"] else "plain"
    return "-".join(str(word) for word in (case["model"], *words, ending) if word)


@pytest.mark.parametrize("case", RECORD["cases"], ids=label)
def test_figures_are_what_pytorch_counted(case: dict[str, Any]) -> None:
    ours = computed(RECORD["configs"][case["model"]], case["setup"])
    found = dict(case["measured"])
    saved = found.pop("saved_bytes")
    assert {key: ours[key] for key in found} == found
    assert ours["saved_bytes"] == pytest.approx(saved, rel=0.10)


def test_record_holds_every_method_on_two_models() -> None:
    kinds = {(case["model"], case["setup"]["method"]) for case in RECORD["cases"]}
    assert kinds == {(model, method) for model in ("llama", "qwen3") for method in ("full", "lora", "qlora")}
