"""The published JSON Schemas are what the types say, and what the program prints obeys them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "reports" / "schema"

MACHINES = (
    "RTX 4090",
    "2x Tesla P100 12GB; Xeon E5-2690 v4; 128GB DDR4-2400 x4",
    "GH200 96GB; 480GB LPDDR5X",
    "M4 Max 64GB",
    "Core i5-8500; 16GB DDR4-2666 x1; windows 11",
)


def run_probe(*arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "probe", *arguments],
        cwd=ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout.decode("utf-8"))


def validate(document: Any, kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}-1.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)


def test_schemas_are_regenerated_not_edited() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/build_schemas.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()


def test_scan_of_this_machine_obeys_its_schema() -> None:
    code, document = run_probe("scan", "--json")
    assert code == 0
    assert (document["kind"], document["host"]["origin"]) == ("machine", "live")
    validate(document, "machine")


@pytest.mark.parametrize("spec", MACHINES)
def test_check_obeys_its_schema_and_adds_up(spec: str) -> None:
    code, document = run_probe(
        "check", "llama-3.1-8b", "--quant", "Q4_K_M", "--context", "8192", "--as", spec, "--json"
    )
    assert code == 0
    validate(document, "estimate")
    assert document["kind"] == "estimate"
    memory = document["memory"]
    parts = ("weights_bytes", "kv_cache_bytes", "recurrent_state_bytes", "compute_bytes", "runtime_bytes")
    total = sum(memory[part] for part in parts) + memory["repack_bytes"]["value"]
    assert memory["total_bytes"] == total
    for part in parts:
        assert memory[part] == sum(device[part] for device in memory["per_device"])


@pytest.mark.parametrize("spec", MACHINES[:2])
def test_report_obeys_its_schema(spec: str) -> None:
    code, document = run_probe("--as", spec, "--json")
    assert code == 0
    validate(document, "report")
    assert len(document["size_map"]) == 40
    assert {cell["verdict"] for cell in document["size_map"]} <= {
        "comfortable",
        "usable",
        "slow",
        "no",
        "unknown",
    }


def test_doctor_obeys_its_schema() -> None:
    code, document = run_probe("doctor", "--json")
    assert code in (0, 1)
    validate(document, "doctor")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("list",), "catalog"),
        (("show", "qwen3-8b"), "catalog_entry"),
        (("show", "rtx 4090"), "catalog_entry"),
        (("show", "i5-12400"), "catalog_entry"),
        (("validate",), "catalog_check"),
    ],
)
def test_the_catalog_obeys_its_schemas(arguments: tuple[str, ...], kind: str) -> None:
    """Rows of models and devices are written as the catalog holds them, without what they leave out."""
    code, document = run_probe("catalog", *arguments, "--json")
    assert code == 0
    assert document["kind"] == kind
    validate(document, kind)
