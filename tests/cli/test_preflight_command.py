"""`probe preflight` as a user runs it: exit codes, JSON, pages in both languages, folders of machines."""

import json
from pathlib import Path

import pytest

from tests.cli.program import run_probe


def _machine(gpus: int, *, name: str = "server", driver: str = "580.95.05") -> str:
    """A machine as a person writes it by hand: only the fields that matter."""
    gib = 1024**3
    card = {"name": "NVIDIA A100 80GB PCIe", "compute_capability": "8.0", "memory_total_bytes": 80 * gib}
    return json.dumps(
        {
            "kind": "machine",
            "host": {
                "name": name,
                "os": {"family": "linux", "name": "Ubuntu", "version": "24.04", "glibc": "2.39"},
                "python": "3.12.3",
            },
            "cpu": {"architecture": "x86_64", "isa": ["avx2", "avx512f"]},
            "memory": {"total_bytes": 512 * gib, "available_bytes": 500 * gib},
            "accelerators": [card | {"index": index} for index in range(gpus)],
            "nvidia": {"driver_version": driver},
            "disks": [{"path": "/home/user", "free_bytes": 3000 * gib}],
        }
    )


def test_ready_server_exits_0_and_prints_what_to_type(tmp_path: Path) -> None:
    file = tmp_path / "server.json"
    file.write_text(_machine(2), encoding="utf-8")
    done = run_probe("preflight", "vllm", "--machine", str(file), "--model", "qwen3-32b", folder=tmp_path)
    assert done.code == 0
    assert 'install "vllm==0.33.0"' in done.text
    assert "vllm serve Qwen/Qwen3-32B --max-model-len 8192" in done.text


def test_json_has_every_field_of_a_check(tmp_path: Path) -> None:
    file = tmp_path / "server.json"
    file.write_text(_machine(1, driver="470.256.02"), encoding="utf-8")
    done = run_probe("preflight", "vllm", "--machine", str(file), "--json", folder=tmp_path)
    document = json.loads(done.text)
    assert (done.code, document["verdict"]) == (1, "not_ready")
    driver = next(check for check in document["checks"] if check["id"] == "driver")
    assert {"id", "result", "blocking", "observed", "required", "fix", "source"} <= driver.keys()
    assert (driver["result"], driver["blocking"], driver["observed"]) == ("fail", True, "470.256.02")
    assert {"engine", "why", "command"} <= document["alternatives"][0].keys()


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_page_of_an_unknown_server_says_what_was_not_read(lang: str, tmp_path: Path) -> None:
    done = run_probe("preflight", "vllm", "--as", "RTX 4090", "--lang", lang, folder=tmp_path)
    assert done.code == 1
    assert {"ko": "판단할 수 없습니다", "en": "Cannot tell"}[lang] in done.text
    done.text.encode("cp949")


def test_matrix_needs_no_machine(tmp_path: Path) -> None:
    done = run_probe("preflight", "vllm", "--matrix", "--json", folder=tmp_path)
    rows = {row["method"]: row["cells"] for row in json.loads(done.text)["rows"]}
    assert (done.code, rows["fp8"]["turing"], rows["fp8"]["ada"]) == (0, "weight_only", "yes")


def test_model_too_large_for_one_server_is_planned_over_several(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text(_machine(2, name=name), encoding="utf-8")
    (tmp_path / "broken.json").write_text('{"kind":', encoding="utf-8")
    arguments = [
        "preflight",
        "vllm",
        "--machines",
        str(tmp_path),
        "--model",
        "llama-3.1-405b",
        "--quant",
        "awq",
    ]
    done = run_probe(*arguments, "--json", folder=tmp_path)
    document = json.loads(done.text)
    across = document["across"]
    assert done.code == 0
    assert [one["path"] for one in document["unreadable"]] == ["broken.json"]
    assert (across["machines"], across["tensor_parallel"], across["pipeline_parallel"]) == (["a", "b"], 2, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["vlm"],
        ["vllm", "--target-version", "0.1.0", "--as", "RTX 4090"],
        ["sglang", "--matrix"],
        ["vllm", "--build", "tpu"],
        ["vllm", "--machines", "/nowhere"],
    ],
)
def test_wrong_requests_end_with_2_and_one_line(arguments: list[str], tmp_path: Path) -> None:
    done = run_probe("preflight", *arguments, folder=tmp_path)
    assert (done.code, done.text) == (2, "")
    assert len(done.talk.strip().splitlines()) == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    outcome = run_probe("preflight", "vllm", "--machines", "nowhere", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "No folder at nowhere" in outcome.talk
