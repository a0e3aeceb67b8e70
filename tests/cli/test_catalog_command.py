"""`probe catalog`: names, one row with its sources, soundness."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.program import run_probe


def test_list_names_models_devices_and_engines(tmp_path: Path) -> None:
    outcome = run_probe("catalog", "list", "--json", folder=tmp_path)
    document = json.loads(outcome.stdout)
    assert (outcome.code, document["kind"], document["schema_version"]) == (0, "catalog", "1.0")
    model = next(row for row in document["models"] if row["alias"] == "exaone-4.0-1.2b")
    assert set(model) == {
        "id",
        "alias",
        "name",
        "family",
        "vendor",
        "params_total",
        "params_active",
        "languages",
        "language_sources",
        "purposes",
        "license",
        "max_context",
        "confidence",
        "korean",
    }
    assert model["korean"] == "verified"
    assert "ko" in model["languages"]
    assert model["language_sources"]["ko"]
    assert {"name": "NVIDIA GeForce RTX 4090", "vendor": "nvidia", "kind": "discrete"} in document["devices"]
    assert {"llama.cpp", "vllm"} <= {row["id"] for row in document["engines"]}


def test_list_as_csv_has_a_row_for_each_model(tmp_path: Path) -> None:
    listed = json.loads(run_probe("catalog", "list", "--json", folder=tmp_path).stdout)["models"]
    rows = list(
        csv.DictReader(io.StringIO(run_probe("catalog", "list", "--format", "csv", folder=tmp_path).text))
    )
    assert [row["id"] for row in rows] == [row["id"] for row in listed]


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("qwen3-8b", "model", "Qwen3-8B"),
        ("RTX 4090", "gpu", "NVIDIA GeForce RTX 4090"),
    ],
)
def test_show_tells_one_row_with_its_source(tmp_path: Path, name: str, kind: str, found: str) -> None:
    row = json.loads(run_probe("catalog", "show", name, "--json", folder=tmp_path).stdout)[kind]
    assert row["name"] == found
    assert row["source"]
    assert row["retrieved"]


def test_show_of_an_unknown_name_suggests_near_ones(tmp_path: Path) -> None:
    outcome = run_probe("catalog", "show", "qwen3-8bb", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "qwen3-8b" in outcome.talk


def test_our_own_catalog_is_sound(tmp_path: Path) -> None:
    outcome = run_probe("catalog", "validate", "--json", folder=tmp_path)
    document = json.loads(outcome.stdout)
    assert document["problems"] == []
    assert outcome.code == 0
    assert document["models"] >= 60


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    outcome = run_probe("catalog", "--lang", "ko", folder=tmp_path)
    assert outcome.code == 0
    assert "validate" in outcome.text
    assert "사용법: probe catalog" in outcome.text
