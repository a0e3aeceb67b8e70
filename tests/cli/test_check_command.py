"""`probe check MODEL`: the answer, its exit code, and its JSON."""

import json
from pathlib import Path

import pytest

from tests.cli.program import run_probe

OFFICE_PC = "Core i5-8500; 16GB DDR4-2666 x1"


def test_a_model_that_runs_ends_with_0_and_its_command(tmp_path: Path) -> None:
    outcome = run_probe("check", "qwen3-4b", "--quant", "Q4_K_M", "--as", "RTX 4090", folder=tmp_path)
    assert (outcome.code, outcome.talk) == (0, "")
    assert " Q4_K_M runs comfortably on RTX 4090: about " in " ".join(outcome.text.split())
    assert "llama-server" in outcome.text


def test_a_model_that_does_not_fit_ends_with_1_and_still_prints_json(tmp_path: Path) -> None:
    outcome = run_probe(
        "check", "llama-3.3-70b", "--quant", "Q4_K_M", "--as", OFFICE_PC, "--json", folder=tmp_path
    )
    document = json.loads(outcome.stdout.decode("utf-8"))
    assert (outcome.code, outcome.talk) == (1, "")
    assert (document["kind"], document["verdict"], document["fits"]) == ("estimate", "no", False)
    assert document["speed"]["depth_tokens"] == 2048  # what speeds would hold for, also where none is known
    assert document["reasons"]


def test_what_cannot_be_known_ends_with_1(tmp_path: Path) -> None:
    """RTX 4090 alone: RAM is not named, so a model beyond the card can neither be promised nor refused."""
    outcome = run_probe(
        "check", "llama-3.3-70b", "--quant", "F16", "--as", "RTX 4090", "--json", folder=tmp_path
    )
    assert outcome.code == 1
    assert json.loads(outcome.stdout)["verdict"] in ("unknown", "no")


def test_json_is_utf8_on_a_korean_console(tmp_path: Path) -> None:
    outcome = run_probe(
        "check", "qwen3-4b", "--as", OFFICE_PC, "--json", "--lang", "ko", folder=tmp_path, encoding="cp949"
    )
    assert any(
        "가" <= letter <= "힣" for letter in "".join(json.loads(outcome.stdout.decode("utf-8"))["reasons"])
    )


def test_the_page_is_written_in_the_consoles_own_encoding(tmp_path: Path) -> None:
    outcome = run_probe(
        "check", "qwen3-4b", "--as", OFFICE_PC, "--lang", "ko", folder=tmp_path, encoding="cp949"
    )
    page = outcome.stdout.decode("cp949")
    assert "판정 이유" in page
    assert "?" not in page


def test_both_languages_and_all_formats_carry_one_set_of_figures(tmp_path: Path) -> None:
    arguments = ("check", "llama-3.1-8b", "--quant", "Q4_K_M", "--as", "RTX 4090")
    document = json.loads(run_probe(*arguments, "--json", folder=tmp_path).stdout)
    total = f"{document['memory']['total_bytes'] / 1024**3:.1f} GiB"
    for extra in (("--lang", "ko"), ("--lang", "en"), ("--format", "markdown")):
        assert total in run_probe(*arguments, *extra, folder=tmp_path).text
    csv = run_probe(*arguments, "--format", "csv", folder=tmp_path).text
    assert str(document["memory"]["total_bytes"]) in csv


def test_context_may_be_written_in_k(tmp_path: Path) -> None:
    arguments = ("check", "qwen3-4b", "--quant", "Q4_K_M", "--as", "RTX 4090", "--json")
    documents = [
        json.loads(run_probe(*arguments, "--context", text, folder=tmp_path).stdout)
        for text in ("16k", "16384")
    ]
    assert documents[0]["context"] == 16384
    assert documents[0] == documents[1]


def test_users_is_another_name_for_parallel(tmp_path: Path) -> None:
    outcome = run_probe("check", "qwen3-4b", "--as", "RTX 4090", "--users", "3", "--json", folder=tmp_path)
    assert json.loads(outcome.stdout)["parallel"] == 3


def test_explain_shows_what_the_formula_was_given(tmp_path: Path) -> None:
    arguments = ("check", "qwen3-4b", "--as", "RTX 4090")
    assert "What the formulas were given" not in run_probe(*arguments, folder=tmp_path).text
    explained = run_probe(*arguments, "--explain", folder=tmp_path).text
    assert "What the formulas were given" in explained
    assert "1,008 GB/s" in explained


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "no-such-model-9b", "--as", "RTX 4090"), "No model in the catalog is called"),
        (
            ("check", "qwen3-8bb", "--as", "RTX 4090"),
            "No model in the catalog is called `qwen3-8bb`. Nearest",
        ),
        (("check", "qwen3-8b", "--as", "RTX 9999"), "`RTX 9999` names no GPU"),
        (("check", "qwen3-8b", "--as", "RTX 3060"), "`RTX 3060` names several GPUs"),
        (("check", "qwen3-8b", "--as", ""), "The machine after --as is empty."),
        (("check", "qwen3-8b", "--as", "16GB DDR4-99999"), "Impossible memory speed in --as"),
        (("check", "qwen3-8b", "--as", "RTX 4090", "--quant", "Q9_K"), "Unknown quantization `Q9_K`."),
    ],
)
def test_unknown_names_end_with_2_and_suggestions(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = run_probe(*arguments, folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert outcome.talk.startswith(said)
    assert outcome.talk.count("\n") == 1


def test_a_damaged_model_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\x03\x00\x00\x00cut off")
    outcome = run_probe("check", "broken.gguf", "--as", "RTX 4090", folder=tmp_path)
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert "broken.gguf" in outcome.talk


def test_a_catalog_name_wins_over_a_folder_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "phi-4").mkdir()
    outcome = run_probe("check", "phi-4", "--as", "RTX 4090", "--json", folder=tmp_path)
    assert json.loads(outcome.stdout)["model"]["alias"] == "phi-4"


def test_a_saved_scan_gives_the_figures_of_the_machine_it_describes(tmp_path: Path) -> None:
    scanned = run_probe("scan", "--as", OFFICE_PC, "--output", "pc.json", folder=tmp_path)
    assert (scanned.code, scanned.stdout) == (0, b"")
    asked = ("check", "qwen3-4b", "--quant", "Q4_K_M", "--json")
    from_words = json.loads(run_probe(*asked, "--as", OFFICE_PC, folder=tmp_path).stdout)
    from_file = json.loads(run_probe(*asked, "--machine", "pc.json", folder=tmp_path).stdout)
    assert from_file["memory"] == from_words["memory"]
    assert from_file["speed"] == from_words["speed"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_scan_that_powershell_redirected_is_read(tmp_path: Path, encoding: str) -> None:
    """`probe scan --json > machine.json`: Windows PowerShell 5.1 writes UTF-16 with a byte-order mark."""
    printed = run_probe("scan", "--as", OFFICE_PC, "--json", folder=tmp_path).text
    (tmp_path / "machine.json").write_text(printed, encoding=encoding)
    outcome = run_probe("check", "qwen3-4b", "--machine", "machine.json", "--json", folder=tmp_path)
    assert outcome.code == 0, outcome.talk
    assert run_probe("diff", "machine.json", "machine.json", folder=tmp_path).code == 0


def test_a_size_without_a_unit_is_refused(tmp_path: Path) -> None:
    """`--reserve 4` would be four bytes, and nothing would be reserved."""
    outcome = run_probe("check", "qwen3-4b", "--as", "RTX 4090", "--reserve", "4", folder=tmp_path)
    assert outcome.code == 2
    assert "a number with a unit" in outcome.talk


def test_options_of_the_cache_change_the_memory_and_stand_in_the_command(tmp_path: Path) -> None:
    arguments = ("check", "qwen3-8b", "--quant", "Q4_K_M", "--as", "RTX 4090", "--json")
    plain = json.loads(run_probe(*arguments, folder=tmp_path).stdout)
    smaller = json.loads(
        run_probe(*arguments, "--kv-type", "Q8_0", "--ubatch", "256", folder=tmp_path).stdout
    )
    assert smaller["kv_type"] == "q8_0"
    assert smaller["memory"]["kv_cache_bytes"] < plain["memory"]["kv_cache_bytes"]
    assert smaller["memory"]["compute_bytes"] < plain["memory"]["compute_bytes"]
    assert "-ctk q8_0 -ctv q8_0 -ub 256" in smaller["command"]


def test_reserved_memory_is_not_given_to_the_model(tmp_path: Path) -> None:
    arguments = ("check", "qwen3-8b", "--quant", "Q4_K_M", "--as", "RTX 4090", "--json")
    plain, kept = (
        json.loads(run_probe(*arguments, *extra, folder=tmp_path).stdout)["memory"]["per_device"]
        for extra in ((), ("--reserve", "4GB"))
    )
    gpu = [next(device for device in devices if device["device"] == "gpu0") for devices in (plain, kept)]
    assert gpu[0]["available_bytes"] - gpu[1]["available_bytes"] == 4 * 1024**3


@pytest.mark.parametrize(
    ("engine", "named"), [("llama.cpp", True), ("ollama", True), ("vllm", False), ("sglang", False)]
)
def test_llama_bench_is_named_only_for_engines_that_run_what_it_runs(
    tmp_path: Path, engine: str, named: bool
) -> None:
    machine = "RTX 4090; 64GB DDR5-5600 x2; ubuntu 24.04"
    outcome = run_probe(
        "check", "qwen3-8b", "--engine", engine, "--as", machine, "--explain", folder=tmp_path
    )
    assert "tokens/s" in outcome.text
    assert ("llama-bench" in outcome.text) == named
