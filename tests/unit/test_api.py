"""What Python programs rely on: names, types, the command line's answers, exceptions, silence."""

import doctest
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

import probe
from probe.api import limits
from probe.recommender.options import PURPOSES

ROOT = Path(__file__).resolve().parents[2]
SPEC = "RTX 4090; 64GB DDR5-5600 x2"
# Programs of other people call these: add, never rename or remove.
NAMES = [
    "AmbiguousNameError",
    "ByteRange",
    "CatalogError",
    "Check",
    "Estimate",
    "Finding",
    "InputError",
    "Machine",
    "ModelSpec",
    "ProbeError",
    "Range",
    "Recommendation",
    "Report",
    "UnknownNameError",
    "Verdict",
    "__version__",
    "check",
    "error_text",
    "recommend",
    "scan",
    "to_json",
]
SIGNATURES = {
    "scan": "deadline_s=5.0, make_id=True, alias=None, show_host_name=True",
    "check": "model, machine=None, as_=None, engine=None, quantization=None, context=None, parallel=None, "
    "kv_type=None, kv_unified=False, ubatch=None, flash_attention=None, reserve_bytes=0, with_model=None, "
    "draft=None, online=False, alias=None, show_host_name=True, lang='en'",
    "recommend": "machine=None, as_=None, purposes=(), quantization=None, context=None, parallel=None, "
    "kv_type=None, kv_unified=False, ubatch=None, flash_attention=None, reserve_bytes=0, with_model=None, "
    "model_languages=(), commercial_use=False, alias=None, show_host_name=True, api_url=None, lang='en'",
    "to_json": "document, pretty=True",
    "error_text": "error, lang='en'",
}


def cli_json(*arguments: str) -> bytes:
    """What `probe ARGUMENTS --json` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "probe", *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return done.stdout


def test_public_names_stay() -> None:
    assert sorted(probe.__all__) == NAMES
    assert [name for name in NAMES if not hasattr(probe, name)] == []
    assert set(NAMES) <= set(dir(probe))


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_stay(name: str) -> None:
    parameters = inspect.signature(getattr(probe, name)).parameters.values()
    written = ", ".join(
        one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in parameters
    )
    assert written == SIGNATURES[name]
    by_position = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert set(by_position) <= {"model", "document", "error", "lang"}
    assert all(one.annotation is not one.empty for one in parameters)
    assert inspect.getdoc(getattr(probe, name))


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AttributeError, match="recomend"):
        _ = probe.recomend  # type: ignore[attr-defined]  # the very mistake


def test_importing_the_package_loads_nothing() -> None:
    program = "import sys; before = set(sys.modules); import probe; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "['probe']"


def test_the_wheel_says_that_it_is_typed() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {"probe/py.typed", "probe/__init__.py", "probe/api/answers.py"} <= shipped


def test_purposes_are_those_of_the_recommender() -> None:
    assert limits.PURPOSES == PURPOSES


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(
    ("arguments", "wishes"),
    [
        ([], {}),
        (
            ["--engine", "vllm", "--context", "32k", "--parallel", "4"],
            {"engine": "vllm", "context": 32768, "parallel": 4},
        ),
        (
            [
                "--quant",
                "Q4_K_M",
                "--kv-type",
                "q8_0",
                "--reserve",
                "4GB",
                "--ubatch",
                "256",
                "--no-flash-attn",
            ],
            {
                "quantization": "Q4_K_M",
                "kv_type": "q8_0",
                "reserve_bytes": 4 * 2**30,
                "ubatch": 256,
                "flash_attention": False,
            },
        ),
        (["--with", "bge-m3", "--alias", "pc1"], {"with_model": "bge-m3", "alias": "pc1"}),
        (["--draft", "qwen3-0.6b"], {"draft": "qwen3-0.6b"}),
        (["--draft", "auto"], {"draft": "auto"}),
    ],
)
def test_check_is_what_the_command_line_prints(arguments: list[str], wishes: dict, lang: str) -> None:
    answer = probe.check("qwen3-8b", as_=SPEC, lang=lang, **wishes)
    assert probe.to_json(answer) == cli_json("check", "qwen3-8b", "--as", SPEC, "--lang", lang, *arguments)


@pytest.mark.parametrize(
    ("arguments", "wishes"),
    [
        ([], {}),
        (
            ["--for", "coding,korean", "--model-language", "ko", "--commercial-use", "--lang", "ko"],
            {
                "purposes": ["coding", "korean"],
                "model_languages": ["ko"],
                "commercial_use": True,
                "lang": "ko",
            },
        ),
    ],
)
def test_recommend_is_what_the_command_line_prints(arguments: list[str], wishes: dict) -> None:
    answer = json.loads(probe.to_json(probe.recommend(as_=SPEC, **wishes)))
    printed = json.loads(cli_json("--as", SPEC, *(arguments or ["--lang", "en"])))
    assert answer.pop("created_at") and printed.pop("created_at")
    assert json.dumps(answer) == json.dumps(printed)


def test_a_saved_machine_answers_as_path_and_as_value(tmp_path: Path) -> None:
    machine = probe.scan(make_id=False, alias="pc1")
    file = tmp_path / "pc1.json"
    file.write_bytes(probe.to_json(machine))
    printed = cli_json("check", "qwen3-4b", "--machine", str(file), "--lang", "en")
    assert probe.to_json(probe.check("qwen3-4b", machine=file)) == printed
    assert probe.to_json(probe.check("qwen3-4b", machine=str(file))) == printed
    # A whole number of bytes a second is written 1 or 1.0, depending on whether it came from a file.
    assert json.loads(probe.to_json(probe.check("qwen3-4b", machine=machine))) == json.loads(printed)


def test_a_scan_is_what_the_command_line_prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Apart from what changes between two scans: free memory, times, load."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ours = json.loads(probe.to_json(probe.scan()))
    printed = json.loads(cli_json("scan"))
    assert ours["host"] == printed["host"]
    assert ours["cpu"].keys() == printed["cpu"].keys()
    assert ours["cpu"]["brand"] == printed["cpu"]["brand"]
    assert ours["memory"]["total_bytes"] == printed["memory"]["total_bytes"]
    assert ours["provenance"] == printed["provenance"]
    assert [one["source"] for one in ours["attempts"]] == [one["source"] for one in printed["attempts"]]


def test_a_scan_without_id_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert probe.scan(make_id=False).host.id is None
    assert list(tmp_path.iterdir()) == []
    made = probe.scan().host.id
    assert made is not None
    assert probe.scan(make_id=False).host.id == made


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: probe.check("qwen9-8b", as_="RTX 4090"), probe.UnknownNameError),
        (lambda: probe.check("qwen3-8b", as_="RTX 3060"), probe.AmbiguousNameError),
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", engine="vlm"), probe.UnknownNameError),
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", kv_type="q9"), probe.UnknownNameError),
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", lang="fr"), probe.UnknownNameError),
        (lambda: probe.recommend(as_="RTX 4090", purposes=["poetry"]), probe.UnknownNameError),
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", context=0), probe.InputError),
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", context="8k"), probe.InputError),  # type: ignore[arg-type]
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", reserve_bytes=-1), probe.InputError),
        (lambda: probe.check("qwen3-8b", as_="RTX 4090", machine="m.json"), probe.InputError),
        (lambda: probe.check("qwen3-8b", machine="no such file.json"), probe.InputError),
        (lambda: probe.check("qwen3-8b", machine="zero\0byte"), probe.InputError),
        (lambda: probe.check("hf:Qwen/Qwen3-8B", as_="RTX 4090"), probe.InputError),
        (lambda: probe.check("./zero\0byte", as_="RTX 4090"), probe.InputError),
        (lambda: probe.check("~nobody-of-that-name/model", as_="RTX 4090"), probe.InputError),
        (lambda: probe.check("./" + "x" * 5000, as_="RTX 4090"), probe.InputError),
    ],
)
def test_wrong_requests_are_exceptions_with_a_sentence(call, kind, capfd) -> None:
    with pytest.raises(kind) as caught:
        call()
    for lang in ("en", "ko"):
        sentence = probe.error_text(caught.value, lang)
        assert sentence and "\n" not in sentence and not sentence.startswith(caught.value.key)
    assert capfd.readouterr() == ("", "")


def test_an_answer_prints_nothing(capfd) -> None:
    probe.check("qwen3-8b", machine=probe.scan(make_id=False))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("page", ["docs/en/api.md", "docs/ko/api.md"])
def test_the_examples_of_the_manual_hold(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    unfenced = "\n".join("" if line.startswith("```") else line for line in text.splitlines())
    examples = doctest.DocTestParser().get_doctest(unfenced, {}, page, page, 0)
    assert len(examples.examples) > 20
    written: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples, out=written.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(written)


def test_fp8_cache_is_asked_of_engines_that_have_one() -> None:
    answer = probe.check("qwen3-8b", as_="RTX 4090", engine="vLLM", kv_type="fp8")
    assert answer.kv_type == "fp8"
    with pytest.raises(probe.UnknownNameError) as error:
        probe.check("qwen3-8b", as_="RTX 4090", kv_type="fp8")
    assert "q8_0" in error.value.suggestions


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": None},
        {"model": 8},
        {"model": b"qwen3-8b"},
        {"model": "qwen3-8b", "as_": 4090},
        {"model": "qwen3-8b", "as_": None, "machine": {}},
        {"model": "qwen3-8b", "engine": 5},
        {"model": "qwen3-8b", "quantization": 4},
    ],
)
def test_values_of_the_wrong_kind_are_a_foreseen_failure(wrong: dict[str, Any]) -> None:
    with pytest.raises(probe.InputError) as error:
        probe.check(**{"as_": "RTX 4090", **wrong})
    assert error.value.key == "cli.usage.no_text"


def test_model_may_be_a_path_object(tmp_path: Path) -> None:
    with pytest.raises(probe.InputError) as error:
        probe.check(tmp_path / "nothing.gguf", as_="RTX 4090")
    assert error.value.key == "cli.model.no_file"
