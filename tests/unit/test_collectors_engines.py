"""Installed engines: by files and PATH first, servers on the loopback address, nothing that waits."""

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.facts import Found
from probe.collectors.installed_engines import (
    backend_names,
    interpreter_of,
    ollama_port,
    parse_ollama_tags,
    parse_openai_models,
    version_in_path,
)
from probe.collectors.local_host import LocalHost
from probe.collectors.local_loopback import get_loopback, parse_response
from probe.collectors.local_search import find_program, package_versions
from probe.collectors.merge_software import merge_software
from probe.collectors.run import scan_machine
from probe.collectors.runtimes import parse_cuda_version, parse_rocm_version
from probe.machine import AttemptResult, InstalledEngine, Runtime, Software
from tests.fakes.hosts import TreeHost, on
from tests.fakes.patience import BUSY_S, HANG_S, not_held_up

ANSWERS = {
    "/v1/models": {"data": [{"id": "Qwen/Qwen3-8B", "object": "model", "owned_by": "vllm"}]},
    "/version": {"version": "0.33.0"},
}


@contextmanager
def server(answers: Mapping[str, object]) -> Iterator[int]:
    """A real HTTP server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path)
            body = json.dumps(answer).encode()
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield httpd.server_address[1]
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


@contextmanager
def raw_server(answer: bytes, *, every_s: float = 0.0) -> Iterator[int]:
    """A listener that accepts and says `answer`, byte by byte when `every_s` is given, then waits."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                for part in [answer[i : i + 1] for i in range(len(answer))] if every_s else [answer]:
                    connection.sendall(part)
                    if stop.wait(every_s):
                        return
                stop.wait(HANG_S)
            except OSError:
                pass

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join(5)
        listener.close()


@contextmanager
def port_without_listener() -> Iterator[int]:
    """A port that nobody else can take meanwhile, and nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_answer_of_a_real_server() -> None:
    with server(ANSWERS) as port:
        body = get_loopback(port, "/v1/models", BUSY_S)
        missing = get_loopback(port, "/nothing", BUSY_S)
    assert isinstance(body, bytes)
    assert parse_openai_models(body) == ("vllm", ("Qwen/Qwen3-8B",))
    assert missing == Failure(AttemptResult.FAILED, "HTTP status 404")


def test_port_where_nothing_listens_is_absent_at_once() -> None:
    """Not only when the time is over."""
    with port_without_listener() as port:
        assert get_loopback(port, "/", BUSY_S) == Failure(AttemptResult.ABSENT, "nothing listens there")


@pytest.mark.parametrize("every_s", [0.0, 0.05], ids=["silent", "dripping"])
def test_server_that_hangs_costs_its_time_limit_and_no_more(every_s: float) -> None:
    text = b"HTTP/1.0 200 OK\r\n" * 400 if every_s else b""
    with raw_server(text, every_s=every_s) as port, not_held_up():
        answer = get_loopback(port, "/v1/models", 0.3)
    assert answer == Failure(AttemptResult.TIMEOUT, "no answer in time")


def test_server_of_another_protocol_is_no_engine() -> None:
    assert parse_response(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") == Failure(AttemptResult.FAILED, "no HTTP answer")
    assert parse_response(b"") == Failure(AttemptResult.FAILED, "no HTTP answer")


def test_chunked_answer_is_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert parse_response(head + b'4\r\n{"a"\r\n5;x=y\r\n: 12}\r\n0\r\n\r\n') == b'{"a": 12}'
    damaged = parse_response(head + b"zz\r\n")
    assert isinstance(damaged, Failure)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data": 5}', b'{"data": [1, {"id": 7}]}', b'{"object": "list"}']
)
def test_model_list_of_something_else_names_nobody(body: bytes) -> None:
    assert parse_openai_models(body) == (None, ())
    assert parse_ollama_tags(body) == ()


@pytest.mark.parametrize(
    ("address", "port"),
    [
        (None, 11434),
        ("", 11434),
        ("0.0.0.0", 11434),  # noqa: S104 - read, not bound
        ("127.0.0.1:8123", 8123),
        (":9000", 9000),
        ("http://localhost:1234/", 1234),
        # Must not be asked: another machine's server is none of ours.
        ("gpu-server:11434", None),
        ("192.0.2.7", None),
        ("https://ollama.example.org", None),
    ],
)
def test_only_this_machines_ollama_is_asked(address: str | None, port: int | None) -> None:
    assert ollama_port(address) == port


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/opt/homebrew/Cellar/llama.cpp/6710/bin/llama-server", "b6710"),
        ("/opt/homebrew/Cellar/ollama/0.13.5/bin/ollama", "0.13.5"),
        (r"C:\tools\llama-b6715-bin-win-cuda-12.4-x64\llama-server.exe", "b6715"),
        ("/home/user/llama.cpp/b6715/llama-server", "b6715"),
        ("/nix/store/0c2a9-llama-cpp-6670/bin/llama-server", "b6670"),
        ("/usr/local/bin/ollama", None),
        ("/home/user/b2b/tools/llama-server", None),
        ("", None),
    ],
)
def test_version_that_the_place_tells(path: str, version: str | None) -> None:
    assert version_in_path(path) == version


@pytest.mark.parametrize(
    ("names", "backends"),
    [
        (["libggml-base.so", "libggml-cpu-haswell.so", "libggml-cuda.so", "llama-server"], ("cpu", "cuda")),
        (["ggml-base.dll", "ggml-cpu-zen4.dll", "ggml-vulkan.dll", "llama.dll"], ("cpu", "vulkan")),
        (["libggml-base.0.9.4.dylib", "libggml-cpu.dylib", "libggml-metal.dylib"], ("cpu", "metal")),
        (["libggml-base.so.0.9.4", "libggml-cpu.so.0.9.4", "libggml-hip.so"], ("cpu", "hip")),
        (["libggml-base.so", "libggml-cpu.so"], ("cpu",)),
        (["llama-server", "libc.so.6"], None),  # one static file: nothing can be told
        ([], None),
    ],
)
def test_backends_by_the_libraries_beside_llama_cpp(
    names: list[str], backends: tuple[str, ...] | None
) -> None:
    assert backend_names(names) == backends


@pytest.mark.parametrize(
    ("line", "root"),
    [
        ("#!/home/user/venv/bin/python3.12", "/home/user/venv"),
        ("#!/opt/vllm/bin/python", "/opt/vllm"),
        ("#!/usr/bin/env python3", None),
        ("\x7fELF", None),
        ("", None),
    ],
)
def test_environment_of_a_script_on_path(line: str, root: str | None) -> None:
    assert interpreter_of(line) == root


def test_packages_by_their_records_in_every_spelling() -> None:
    entries = [
        "mlx_lm-0.32.2.dist-info",
        "vllm-0.33.0+cu129.dist-info",
        "vllm",
        "torch-2.14.0+cpu.dist-info",
        "llama_cpp_python-0.3.16.dist-info",
        "transformers-5.23.0-py3.12.egg-info",
        "vllm_spyre-1.10.0.dist-info",
    ]
    assert package_versions(entries, ("mlx-lm", "vllm", "torch", "llama-cpp-python", "transformers")) == {
        "mlx-lm": "0.32.2",
        "vllm": "0.33.0+cu129",
        "torch": "2.14.0+cpu",
        "llama-cpp-python": "0.3.16",
        "transformers": "5.23.0",
    }


@pytest.mark.skipif(os.name != "posix", reason="execute bits are of POSIX")
def test_program_on_path_with_links_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "Cellar" / "llama.cpp" / "6710" / "llama-server"
    real.parent.mkdir(parents=True)
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (first / "llama-server").mkdir()  # a folder of that name is no program
    (second / "llama-server").symlink_to(real)
    monkeypatch.setenv("PATH", os.pathsep.join([str(first), "", "/no/such/folder", str(second)]))
    assert find_program("llama-server") == str(real)
    real.chmod(0o644)
    assert find_program("llama-server") is None


class EngineHost(TreeHost):
    """A tree of files with programs on its PATH and servers on its ports."""

    found: Mapping[str, str] = {}
    servers: Mapping[str, object] = {}
    printed: Mapping[str, ProgramOutput | Failure] = {}
    started: tuple[str, ...] = ()

    def find_program(self, name: str) -> str | None:
        return self.found.get(name)

    def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes | Failure:
        answer = self.servers.get(f"{port}{path}")
        if isinstance(answer, Failure):
            return answer
        if answer is None:
            return Failure(AttemptResult.ABSENT, "nothing listens there")
        return json.dumps(answer).encode()

    def run(self, arguments, *, timeout_s=3.0, limit_bytes=0):  # type: ignore[no-untyped-def]
        self.started = (*self.started, arguments[0])
        return self.printed.get(arguments[0], Failure(AttemptResult.ABSENT, "not there"))


def engines_of(host: TreeHost) -> dict[str, InstalledEngine]:
    return {engine.id: engine for engine in scan_machine(host, deadline_s=30).software.engines}


def test_script_on_path_tells_its_own_environments_version(tmp_path: Path) -> None:
    venv = "/home/user/serve/venv"
    host = EngineHost(
        tmp_path,
        {
            f"{venv}/bin/vllm": f"#!{venv}/bin/python3.12\nimport sys\n",
            f"{venv}/lib/python3.12/site-packages/vllm-0.33.0.dist-info/METADATA": "",
            f"{venv}/lib/python3.12/site-packages/torch-2.14.0+cu130.dist-info/METADATA": "",
        },
    )
    host.found = {"vllm": f"{venv}/bin/vllm"}
    machine = scan_machine(host, deadline_s=30)
    (engine,) = machine.software.engines
    assert (engine.id, engine.version) == ("vllm", "0.33.0")
    assert Runtime(id="torch", version="2.14.0+cu130") in machine.software.runtimes
    assert host.started == ()


def test_program_is_asked_only_where_no_file_tells_its_version(tmp_path: Path) -> None:
    host = EngineHost(tmp_path)
    host.found = {"llama-server": "/usr/local/bin/llama-server", "ollama": "/opt/Cellar/ollama/0.13.5/ollama"}
    host.printed = {
        "/usr/local/bin/llama-server": ProgramOutput(
            exit_code=0, stdout="", stderr="version: 6715 (4a8b1f0d)\nbuilt with cc (Debian 12.2.0)\n"
        )
    }
    engines = engines_of(host)
    assert engines["llama.cpp"].version == "b6715"
    assert engines["ollama"].version == "0.13.5"
    assert host.started == ("/usr/local/bin/llama-server",)


def test_running_servers_are_told_apart_by_their_model_lists(tmp_path: Path) -> None:
    host = EngineHost(tmp_path)
    host.servers = {
        "8000/v1/models": ANSWERS["/v1/models"],
        "8000/version": ANSWERS["/version"],
        "8080/v1/models": {"data": [{"id": "qwen3-4b.gguf", "owned_by": "llamacpp"}]},
        "8080/props": {"build_info": "b6715-4a8b1f0d"},
        "1234/v1/models": {"data": [{"id": "gemma-3-12b-it", "owned_by": "organization_owner"}]},
        "11434/api/version": {"version": "0.13.5"},
        "11434/api/tags": {"models": [{"name": "qwen3:4b"}]},
    }
    found = {
        name: (engine.version, engine.running, engine.address, engine.models)
        for name, engine in engines_of(host).items()
    }
    assert found == {
        "vllm": ("0.33.0", True, "http://127.0.0.1:8000", ("Qwen/Qwen3-8B",)),
        "llama.cpp": ("b6715", True, "http://127.0.0.1:8080", ("qwen3-4b.gguf",)),
        "lmstudio": (None, True, "http://127.0.0.1:1234", ("gemma-3-12b-it",)),
        "ollama": ("0.13.5", True, "http://127.0.0.1:11434", ("qwen3:4b",)),
    }


def test_web_server_on_an_engines_port_is_no_engine(tmp_path: Path) -> None:
    host = EngineHost(tmp_path)
    host.servers = {"8080/v1/models": {"message": "Hello"}, "8000/v1/models": {"data": []}}
    machine = scan_machine(host, deadline_s=30)
    assert machine.software.engines == ()
    skipped = [attempt for attempt in machine.attempts if attempt.result is AttemptResult.SKIPPED]
    assert {attempt.source for attempt in skipped} == {"server on port 8000", "server on port 8080"}


def test_models_on_disk_without_any_program(tmp_path: Path) -> None:
    home = "/home/user"
    manifests = f"{home}/.ollama/models/manifests"
    host = EngineHost(
        tmp_path,
        {
            f"{manifests}/registry.ollama.ai/library/qwen3/4b": "{}",
            f"{manifests}/registry.ollama.ai/library/.DS_Store": "",
            f"{manifests}/registry.ollama.ai/kim/tuned/latest": "{}",
            f"{manifests}/hf.co/unsloth/gemma-3-4b-it-GGUF/Q4_K_M": "{}",
            f"{home}/.cache/llama.cpp/a-00001-of-00003.gguf": "",
            f"{home}/.cache/llama.cpp/a-00002-of-00003.gguf": "",
            f"{home}/.cache/llama.cpp/b.gguf": "",
            f"{home}/.cache/llama.cpp/manifest.json": "",
            f"{home}/.lmstudio/models/lmstudio-community/gemma-3-12b-it-GGUF/model.gguf": "",
        },
    )
    models = {name: engine.models for name, engine in engines_of(host).items()}
    assert models == {
        "llama.cpp": ("a-00001-of-00003.gguf", "b.gguf"),
        "ollama": ("hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M", "kim/tuned:latest", "qwen3:4b"),
        "lmstudio": ("lmstudio-community/gemma-3-12b-it-GGUF",),
    }


def test_hub_cache_belongs_to_the_engine_that_reads_it(tmp_path: Path) -> None:
    class HubHost(EngineHost):
        def packages(self, names):  # type: ignore[no-untyped-def]
            return {"transformers": "5.23.0"}

    host = HubHost(
        tmp_path,
        {
            "/home/user/.cache/huggingface/hub/models--Qwen--Qwen3-8B/refs/main": "x",
            "/home/user/.cache/huggingface/hub/datasets--a--b/refs/main": "x",
        },
    )
    assert engines_of(host)["transformers"].models == ("Qwen/Qwen3-8B",)


def test_machine_without_engines_starts_nothing(tmp_path: Path) -> None:
    host = EngineHost(tmp_path)
    assert scan_machine(host, deadline_s=30).software == Software()
    assert host.started == ()


def test_running_servers_word_stands_over_the_files() -> None:
    files = Software(
        engines=(
            InstalledEngine(id="ollama", version="0.12.0", path="/usr/bin/ollama", models=("a:1", "b:1")),
        )
    )
    running = Software(
        engines=(
            InstalledEngine(id="ollama", version="0.13.5", running=True, address="http://127.0.0.1:11434"),
        )
    )
    (engine,) = merge_software([Found(files, "PATH"), Found(running, "server")]).engines
    assert (engine.version, engine.path, engine.running) == ("0.13.5", "/usr/bin/ollama", True)
    assert engine.models == ("a:1", "b:1")


def test_runtimes_by_files_of_linux(tmp_path: Path) -> None:
    libraries = "/usr/lib/x86_64-linux-gnu"
    host = TreeHost(
        tmp_path,
        {
            "/opt/rocm-6.4.1/.info/version": "6.4.1-83\n",
            "/opt/rocm-6.10.0/.info/version": "6.10.0-1\n",
            "/usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.8.1"}}',
            "/opt/intel/oneapi/2025.2/setvars.sh": "",
            f"{libraries}/libvulkan.so.1.3.275": "",
            f"{libraries}/libze_loader.so.1.21.9": "",
        },
        links={
            f"{libraries}/libvulkan.so.1": "libvulkan.so.1.3.275",
            f"{libraries}/libze_loader.so.1": "libze_loader.so.1.21.9",
        },
    )
    software = scan_machine(host, deadline_s=30).software
    assert {runtime.id: runtime.version for runtime in software.runtimes} == {
        "vulkan": "1.3.275",
        "rocm": "6.10.0",
        "cuda_toolkit": "12.8.1",
        "oneapi": "2025.2",
        "level_zero": "1.21.9",
    }
    assert software.cuda_toolkit_version == "12.8.1"


def test_runtimes_of_windows_by_variables_and_libraries(tmp_path: Path) -> None:
    facts = on(system="windows", home=r"C:\Users\user", glibc=None)
    cuda = r"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA\v12.8"

    class WindowsHost(TreeHost):
        def exists(self, path: str) -> bool:
            return path == r"C:\Windows\System32\vulkan-1.dll"

        def read_text(self, path: str, limit_bytes: int = 0) -> str | Failure:
            if path == cuda + r"\version.json":
                return '{"cuda": {"version": "12.8.1"}}'
            return Failure(AttemptResult.ABSENT, "ENOENT")

    variables = {"CUDA_PATH": cuda, "HIP_PATH": "C:\\Program Files\\AMD\\ROCm\\6.2\\"}
    software = scan_machine(
        WindowsHost(tmp_path, platform=facts, variables=variables), deadline_s=30
    ).software
    assert {runtime.id: runtime.version for runtime in software.runtimes} == {
        "vulkan": None,
        "cuda_toolkit": "12.8.1",
        "rocm": "6.2",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cuda": "12.8"}', '{"cuda": {"version": 12}}'])
def test_damaged_toolkit_file_tells_no_version(text: str) -> None:
    assert parse_cuda_version(text) is None


def test_rocm_version_without_its_build() -> None:
    assert parse_rocm_version("7.0.2-56\n") == "7.0.2"
    assert parse_rocm_version("unknown") is None


def test_live_host_answers_without_starting_anything() -> None:
    host = LocalHost()
    assert host.find_program("no-such-program-here") is None
    assert host.packages(["msgspec"]).keys() == {"msgspec"}
    assert host.may_use("/no/such/device") is False
