"""`probe mcp` before a real client: the same answers, clear refusals, nothing written, no network."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed (extra `mcp`)")

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from probe.machine import Machine
from probe.mcp_server.tools import TOOLS, Tool
from tests.cli.mcp_client import ROOT, Answer, Talk, environment, talk
from tests.cli.mcp_transcript import FILE, record
from tests.unit.fleet_folders import OFFICE_PC, SERVER, put, report_as

SPEC = "RTX 4090; 64GB DDR5-5600 x2"
OFFICE = "Core i5-8500; 16GB DDR4-2666 x1; windows 11"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a folder of reports, and files that wish us ill."""
    folder = tmp_path_factory.mktemp("home")
    put(folder, "reports/office.json", report_as(OFFICE_PC, name="office", host_id="a" * 16))
    put(folder, "reports/server.json", report_as(SERVER, name="server", host_id="b" * 16))
    evil = report_as(OFFICE_PC, name="<script>alert(1)</script>\x1b[31m[bold]", host_id="c" * 16)
    put(folder, "reports/evil.json", evil)
    (folder / "reports/cut.json").write_text('{"kind": "report", ', encoding="utf-8")
    (folder / "secret.txt").write_text("password=hunter2", encoding="utf-8")
    (folder / "empty").mkdir()
    with (folder / "huge.json").open("wb") as file:
        file.truncate(64 * 2**30)  # sparse
    with (folder / "huge.gguf").open("wb") as file:
        file.truncate(64 * 2**30)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.gguf")
        os.mkfifo(folder / "pipe.json")
    return folder


CALLS = {
    "scan here": ("scan", {}),
    "scan words": ("scan", {"as": SPEC}),
    "check": ("check", {"model": "qwen3-8b", "as": SPEC}),
    "check wishes": (
        "check",
        {
            "model": "qwen3-8b",
            "as": SPEC,
            "quantization": "Q4_K_M",
            "context": 32768,
            "parallel": 2,
            "kv_type": "q8_0",
            "reserve_bytes": 2 * 2**30,
            "with_model": "bge-m3",
        },
    ),
    "check vllm": ("check", {"model": "qwen3-8b", "as": SPEC, "engine": "vllm"}),
    "check no": ("check", {"model": "llama-3.3-70b", "as": SPEC, "quantization": "Q8_0"}),
    "check korean": ("check", {"model": "qwen3-8b", "as": SPEC, "lang": "ko"}),
    "check here": ("check", {"model": "qwen3-0.6b"}),
    "plan": ("plan", {"model": "qwen3-4b", "tokens_per_s": 20.0}),
    "upgrade": ("plan", {"upgrade": True, "as": OFFICE}),
    "preflight": ("preflight", {"engine": "vllm", "model": "qwen3-8b", "as": SPEC}),
    "preflight here": ("preflight", {"engine": "llama.cpp"}),
    "fleet": ("fleet", {"folder": "reports"}),
    "fleet models": ("fleet", {"folder": "reports", "include": "models", "model": "qwen3-8b"}),
    "fleet totals": ("fleet", {"folder": "reports", "include": "totals", "what_if": "ram=32GB"}),
}


@pytest.fixture(scope="module")
def session(home: Path) -> tuple[Talk, dict[str, Answer]]:
    """All the calls above in one session; the client checks each document against the tool's schema."""
    found = talk(list(CALLS.values()), home=home)
    return found, dict(zip(CALLS, found.answers, strict=True))


def cli(home: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "probe", *arguments, "--json"],
        cwd=home,
        env=environment(home),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    return json.loads(done.stdout)


def test_a_client_learns_who_answers_and_what_can_be_asked(session: tuple[Talk, dict[str, Answer]]) -> None:
    found, _ = session
    assert (found.server.server_info.name, found.server.protocol_version) == ("probe", "2025-11-25")
    assert "null means not known" in found.server.instructions
    assert list(found.tools) == ["scan", "check", "plan", "preflight", "fleet"]
    for tool in found.tools.values():
        marks = tool.annotations
        assert (marks.read_only_hint, marks.destructive_hint, marks.open_world_hint) == (True, False, False)
        assert tool.title and tool.description
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert all("description" in one for one in tool.input_schema["properties"].values())
    assert found.tools["check"].input_schema["required"] == ["model"]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_documents_are_those_of_the_published_schemas(tool: Tool) -> None:
    kinds = {"scan": ["machine"], "check": ["estimate"], "plan": ["plan", "upgrade"]}.get(
        tool.name, [tool.name]
    )
    ours = json.loads(json.dumps(tool.output_schema()))
    for kind in kinds:
        published = json.loads((ROOT / f"reports/schema/{kind}-1.json").read_text(encoding="utf-8"))
        assert {name: ours["$defs"][name] for name in published["$defs"]} == published["$defs"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("scan words", ["scan", "--as", SPEC]),
        ("check", ["check", "qwen3-8b", "--as", SPEC]),
        (
            "check wishes",
            [
                *(
                    "check",
                    "qwen3-8b",
                    "--as",
                    SPEC,
                    "--quant",
                    "Q4_K_M",
                    "--context",
                    "32k",
                    "--parallel",
                    "2",
                ),
                *("--kv-type", "q8_0", "--reserve", "2GB", "--with", "bge-m3"),
            ],
        ),
        ("check vllm", ["check", "qwen3-8b", "--as", SPEC, "--engine", "vllm"]),
        ("check no", ["check", "llama-3.3-70b", "--as", SPEC, "--quant", "Q8_0"]),
        ("check korean", ["check", "qwen3-8b", "--as", SPEC, "--lang", "ko"]),
        ("plan", ["plan", "qwen3-4b", "--speed", "20"]),
        ("upgrade", ["plan", "--upgrade", "--as", OFFICE]),
        ("preflight", ["preflight", "vllm", "--model", "qwen3-8b", "--as", SPEC]),
        ("fleet models", ["fleet", "reports", "--model", "qwen3-8b"]),
    ],
)
def test_the_document_is_that_of_the_command_line(
    session: tuple[Talk, dict[str, Answer]], home: Path, name: str, arguments: list[str]
) -> None:
    document, printed = session[1][name].document, cli(home, *arguments)
    if name == "fleet models":
        assert document.pop("created_at") and printed.pop("created_at")
    assert document == printed


def test_text_is_a_page_that_says_the_same(session: tuple[Talk, dict[str, Answer]]) -> None:
    answers = session[1]
    for name, answer in answers.items():
        assert not answer.is_error, (name, answer.text)
        assert answer.text.startswith("# ")
        assert len(answer.text) < 8000
    assert "runs comfortably" in answers["check"].text
    assert answers["check"].document["command"].partition(" ")[0] in answers["check"].text
    assert answers["check no"].document["verdict"] == "no"
    assert any("가" <= letter <= "힣" for letter in answers["check korean"].text)
    assert answers["check here"].document["machine_name"]


def test_a_machine_without_an_id_gets_none(session: tuple[Talk, dict[str, Answer]]) -> None:
    assert session[1]["scan here"].document["host"]["id"] is None
    assert session[1]["scan here"].document["host"]["origin"] == "live"


def test_the_group_is_as_large_as_asked(session: tuple[Talk, dict[str, Answer]]) -> None:
    answers = session[1]
    assert [
        len(answers[name].document["machines"]) for name in ("fleet", "fleet models", "fleet totals")
    ] == [*(3, 3, 0)]
    assert answers["fleet"].document["models"] == []
    assert len(answers["fleet models"].document["models"]) > 300
    assert answers["fleet totals"].document["totals"]["machines"] == 3
    assert [one["path"] for one in answers["fleet"].document["unreadable"]] == ["cut.json"]


def test_markup_of_a_file_stays_text(session: tuple[Talk, dict[str, Answer]]) -> None:
    text = session[1]["fleet"].text
    assert "<script>" not in text
    assert "\x1b" not in text


REFUSED = [
    ("check", {"model": "qwen9-8b", "as": SPEC}, "Nearest names: qwen3-8b"),
    ("check", {"model": "qwen3-8b", "as": "RTX 3060"}, "RTX 3060 12GB"),
    ("check", {"model": "qwen3-8b", "as": SPEC, "engine": "vlm"}, "vllm"),
    ("check", {"model": "qwen3-8b", "as": SPEC, "quantization": "Q4_K_X"}, "Q4_K_M"),
    ("preflight", {"engine": "vlm", "as": SPEC}, "vllm"),
    ("check", {"modell": "qwen3-8b"}, "unknown field `modell`"),
    ("check", {}, "missing required field `model`"),
    ("check", {"model": 8}, "Expected `str`, got `int` - at `$.model`"),
    ("check", {"model": "qwen3-8b", "context": -1}, "$.context"),
    ("check", {"model": "qwen3-8b", "context": 10**30}, "$.context"),
    ("check", {"model": "x" * 5000, "as": SPEC}, "4096"),
    ("check", {"model": "qwen3-8b", "as": SPEC, "machine": "m.json"}, "--as"),
    ("check", {"model": "qwen3-8b", "lang": "fr"}, "fr"),
    ("plan", {}, "upgrade"),
    ("plan", {"model": "qwen3-8b", "as": SPEC}, "check"),
    ("plan", {"model": "qwen3-8b", "tokens_per_s": 0}, "$.tokens_per_s"),
    # files
    ("check", {"model": "./no.gguf"}, "No file"),
    ("check", {"model": "zero\0byte"}, "zero"),
    ("check", {"model": "./zero\0byte.gguf", "as": SPEC}, "zero"),
    ("scan", {"machine": "zero\0byte"}, "zero"),
    ("fleet", {"folder": "zero\0byte"}, "zero"),
    ("check", {"model": "~nobody-of-that-name/x.gguf", "as": SPEC}, "No file"),
    ("check", {"model": "huge.gguf", "as": SPEC}, "GGUF"),
    ("scan", {"machine": "huge.json"}, "too large"),
    ("check", {"model": "huge.json", "as": SPEC}, "huge.json"),
    ("scan", {"machine": "/dev/zero"}, "/dev/zero"),
    ("check", {"model": "/dev/zero", "as": SPEC}, "/dev/zero"),
    ("scan", {"machine": "secret.txt"}, "secret.txt"),
    ("check", {"model": "./secret.txt", "as": SPEC}, "secret.txt"),
    ("fleet", {"folder": "secret.txt"}, "secret.txt"),
    ("fleet", {"folder": "no such folder"}, "no such folder"),
    ("scan", {"machine": "reports"}, "reports"),
    # the network
    ("check", {"model": "hf:Qwen/Qwen3-8B", "as": SPEC}, "network"),
    ("check", {"model": "\\\\evil.example\\share\\m.gguf", "as": SPEC}, "network"),
    ("scan", {"machine": "//evil.example/share/m.json"}, "network"),
    ("fleet", {"folder": "\\\\evil.example\\share"}, "network"),
    ("preflight", {"engine": "vllm", "model": "\\/evil.example/m", "as": SPEC}, "network"),
    # markup
    ("check", {"model": "<b>[bold]\n\x1b[31m\u202eqwen", "as": SPEC}, "<b>[bold] [31m qwen"),
    ("check", {"model": "qwen3-8b", "as": "\x1b[2J" * 40}, "[2J"),
]
PIPES = [("check", {"model": "./pipe.gguf", "as": SPEC}, "pipe"), ("scan", {"machine": "pipe.json"}, "pipe")]


def test_what_cannot_be_answered_is_a_clear_error_and_the_server_goes_on(home: Path) -> None:
    cases = [*REFUSED, *(PIPES if hasattr(os, "mkfifo") else [])]
    last = ("check", {"model": "qwen3-8b", "as": SPEC})
    found = talk([*((name, arguments) for name, arguments, _ in cases), ("rm", {}), last], home=home).answers
    for (name, arguments, said), answer in zip(cases, found, strict=False):
        assert answer.is_error and not answer.refused, (name, arguments, answer)
        assert said in answer.text, (name, arguments, answer.text)
        assert "hunter2" not in answer.text
        assert answer.document is None
        assert answer.text.isprintable() and "Internal" not in answer.text
        assert "probe/" not in answer.text.replace("probe/mcp", ""), (
            answer.text
        )  # the sentence of a bug of ours
    assert found[-2].refused and "known: scan, check, plan" in found[-2].text
    assert found[-1].document["verdict"] == "comfortable"


def test_errors_speak_the_language_of_the_call_and_of_the_server(home: Path) -> None:
    wrong = {"model": "qwen9-8b", "as": SPEC}
    korean, english = talk(
        [("check", wrong), ("check", {**wrong, "lang": "en"})], home=home, LANG="ko_KR.UTF-8"
    ).answers
    assert any("가" <= letter <= "힣" for letter in korean.text)
    assert english.text.startswith("No model in the catalog")


def test_ten_thousand_files_are_answered(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    for number in range(10_000):
        (reports / f"{number}.json").write_bytes(b'{"kind": "nonsense"}')
    (answer,) = talk([("fleet", {"folder": "reports", "include": "totals"})], home=tmp_path).answers
    assert not answer.is_error
    assert answer.document["totals"]["unreadable"] == 10_000
    assert len(answer.text) < 8000


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in folder.rglob("*")
    }


def test_nothing_is_written_anywhere_in_the_home(home: Path) -> None:
    before = snapshot(home)
    found = talk(
        [
            ("scan", {}),
            ("check", {"model": "qwen3-8b"}),
            ("preflight", {"engine": "vllm"}),
            ("fleet", {"folder": "."}),
        ],
        home=home,
        TMPDIR=str(home / "empty"),
        XDG_STATE_HOME=str(home / "state"),
        XDG_CACHE_HOME=str(home / "cache"),
    )
    assert [answer.is_error for answer in found.answers] == [False] * 4
    assert snapshot(home) == before


_GUARDED = """
import socket, sys
connect = socket.socket.connect
def guarded(self, address):
    if self.family != getattr(socket, "AF_UNIX", None) and address[0] != "127.0.0.1":
        sys.stderr.write(f"CONNECT {address}\\n")
        sys.stderr.flush()
        raise OSError("no network in this test")
    return connect(self, address)
def no_names(*arguments, **more):
    sys.stderr.write(f"RESOLVE {arguments}\\n")
    sys.stderr.flush()
    raise OSError("no network in this test")
socket.socket.connect = guarded
socket.getaddrinfo_of_the_system, socket.getaddrinfo = socket.getaddrinfo, lambda host, *rest, **more: (
    socket.getaddrinfo_of_the_system(host, *rest, **more) if host == "127.0.0.1" else no_names(host)
)
from probe.cli.main import main
sys.exit(main(["mcp"]))
"""


def test_no_connection_leaves_this_computer(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Only 127.0.0.1 is asked, for engines that serve here."""
    calls = [CALLS[name] for name in ("scan here", "check here", "preflight here", "plan", "fleet")]
    found = talk(
        [*calls, ("check", {"model": "hf:a/b"})], home=home, command=(sys.executable, "-c", _GUARDED)
    )
    assert [answer.is_error for answer in found.answers] == [False] * 5 + [True]
    talked = capfd.readouterr().err
    assert "CONNECT" not in talked
    assert "RESOLVE" not in talked


def _can_unshare() -> bool:
    tool = shutil.which("unshare")
    return (
        tool is not None
        and subprocess.run([tool, "-rn", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not _can_unshare(), reason="this system gives no network namespace")
def test_it_works_where_there_is_no_network_at_all(home: Path) -> None:
    found = talk(
        [CALLS["scan here"], CALLS["check here"], CALLS["fleet"]],
        home=home,
        command=("unshare", "-rn", sys.executable, "-m", "probe", "mcp"),
    )
    assert [answer.is_error for answer in found.answers] == [False] * 3


def test_many_calls_at_once_are_all_answered(home: Path) -> None:
    models = ["qwen3-8b", "llama-3.1-8b", "gemma-3-12b", "phi-4", "qwen3-0.6b", "exaone-4.0-32b"] * 3
    calls = [("check", {"model": model, "as": SPEC}) for model in models] + [
        CALLS["scan here"],
        CALLS["plan"],
    ]
    found = talk(calls, home=home, at_once=True).answers
    assert not any(answer.is_error for answer in found)
    one_by_one = {model: answer.document for model, answer in zip(models, found, strict=False)}
    assert all(answer.document == one_by_one[model] for model, answer in zip(models, found, strict=False))
    assert one_by_one["qwen3-8b"] == cli(home, "check", "qwen3-8b", "--as", SPEC)


def test_the_session_is_as_written_down() -> None:
    """`python -m tests.cli.mcp_transcript` writes it anew."""
    assert record() == FILE.read_text(encoding="utf-8")


_WITHOUT_SDK = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mcp", "mcp_types"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from probe.cli.main import main
sys.exit(main(["mcp", "--lang", sys.argv[1]]))
"""


@pytest.mark.parametrize(("lang", "word"), [("en", "Install it with"), ("ko", "설치하세요")])
def test_without_the_sdk_it_says_how_to_install_it(lang: str, word: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_SDK, lang],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=180,
        check=False,
    )
    said = done.stderr.decode("utf-8")
    assert (done.returncode, done.stdout) == (2, b"")
    assert word in said
    assert f'"{sys.executable}" -m pip install "mcp>=2.3,<3"' in said


def test_the_manual_shows_configurations_that_start_this_command() -> None:
    """Both languages show the same; each block is whole and names `probe mcp`."""
    pages = [(ROOT / f"docs/{lang}/mcp.md").read_text(encoding="utf-8") for lang in ("en", "ko")]
    blocks = [re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL) for page in pages]
    assert blocks[0] == blocks[1]
    assert [kind for kind, _ in blocks[0]] == ["json", "json", "toml"]
    for kind, text in blocks[0]:
        config = json.loads(text) if kind == "json" else tomllib.loads(text)
        (servers,) = config.values()
        assert (servers["probe"]["command"], servers["probe"]["args"]) == ("probe", ["mcp"])
    outside = [re.sub(r"```.*?```", "", page, flags=re.DOTALL) for page in pages]
    commands = [re.findall(r"^    (.*)$", page, re.MULTILINE) for page in outside]
    assert commands[0] == commands[1]
    assert commands[0][-1] == "claude mcp add --scope user probe -- probe mcp"


def test_no_other_command_loads_the_sdk(tmp_path: Path) -> None:
    program = "import sys; from probe.cli.main import main; main(sys.argv[1:]); print(sorted(sys.modules))"
    for arguments in (["--help"], ["mcp", "--help"], ["scan", "--as", SPEC, "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            check=True,
            timeout=180,
        )
        loaded = done.stdout.decode().splitlines()[-1]
        assert not any(f"'{name}'" in loaded for name in ("mcp", "mcp_types", "anyio", "pydantic"))


def test_the_tools_ask_what_a_machine_is_the_same_way() -> None:
    """Two names for one thing would be a trap for agents."""
    for tool in TOOLS:
        names = set(tool.input_schema()["properties"])
        assert "lang" in names
        assert names & {"machine", "as"} in ({"machine", "as"}, set())
    assert Machine in TOOLS[0].documents
