"""`probe train` as a user runs it."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli.program import ROOT, run_probe


def test_document_obeys_its_schema_and_adds_up(tmp_path: Path) -> None:
    outcome = run_probe(
        "train", "llama-3.1-8b", "--method", "qlora", "--as", "RTX 4090", "--json", folder=tmp_path
    )
    document = json.loads(outcome.text)
    schema = json.loads((ROOT / "reports" / "schema" / "train-1.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    memory = document["memory"]
    parts = ("weights", "gradients", "optimizer", "activations", "compute", "runtime")
    assert outcome.code == 0
    assert memory["total_bytes"] == sum(memory[f"{part}_bytes"] for part in parts)
    assert memory["gradients_bytes"] == document["gradients_bytes"]


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_page_of_a_no_has_exit_code_1(lang: str, tmp_path: Path) -> None:
    outcome = run_probe(
        "train", "llama-3.1-70b", "--method", "full", "--as", "RTX 4090", "--lang", lang, folder=tmp_path
    )
    assert outcome.code == 1
    assert "GiB" in outcome.text


@pytest.mark.parametrize(
    "wrong", [("--offload",), ("--targets", "nothing"), ("--zero", "4"), ("--rank", "0")]
)
def test_wrong_options_are_one_line_and_exit_code_2(wrong: tuple[str, ...], tmp_path: Path) -> None:
    outcome = run_probe("train", "llama-3.1-8b", "--as", "RTX 4090", *wrong, folder=tmp_path)
    assert (outcome.code, outcome.stdout, len(outcome.talk.strip().splitlines())) == (2, b"", 1)


def test_the_answer_has_every_property_of_an_estimate(tmp_path: Path) -> None:
    """Whoever reads estimates reads this too: nothing of one is absent."""
    asked = ("--as", "RTX 4090", "--json")
    estimate = json.loads(run_probe("check", "qwen3-0.6b", *asked, folder=tmp_path).stdout)
    training = json.loads(run_probe("train", "qwen3-0.6b", *asked, folder=tmp_path).stdout)
    promised = (
        "model engine quantization context parallel kv_type placement file_bytes memory speed fits fits_now "
        "max_context verdict reasons command alternatives"
    )
    for document in (estimate, training):
        assert [name for name in promised.split() if name not in document] == []
    assert {"gradients_bytes", "optimizer_bytes", "activations_bytes"} <= set(training)
