"""`hf:org/name` against a server on this computer that answers as the hub does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("huggingface_hub")

from probe.errors import InputError
from probe.estimate.tensors import parameter_count
from probe.estimate.weights import stored_weights
from probe.model_files.open_model import open_model
from tests.rig.sparse_gguf import write
from tests.unit.test_model_files_gguf import LLAMA, TENSORS, split
from tests.unit.test_model_files_open import QWEN3, qwen3_tensors, save


class Hub(ThreadingHTTPServer):
    """Repositories are folders below `root`; what was asked and how much was sent is kept."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.root = root
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.sent = 0
        self.ranges = True


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((path, self.headers.get("authorization"), self.headers.get("range")))
        if path.startswith("/api/models/"):
            self.list_files(path.removeprefix("/api/models/"))
            return
        repository, _, name = path.lstrip("/").partition("/resolve/main/")
        file = self.server.root / repository / name
        if not file.is_file():
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        size = file.stat().st_size
        wanted = self.headers.get("range")
        if wanted is None or not self.server.ranges:
            self.stream(file, 200, 0, size)
            return
        begin, _, end = wanted.removeprefix("bytes=").partition("-")
        self.stream(file, 206, int(begin), min(int(end) + 1, size))

    def list_files(self, repository: str) -> None:
        folder = self.server.root / repository
        if repository == "org/secret":
            self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        if not folder.is_dir():
            self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = [
            {"rfilename": str(path.relative_to(folder)), "size": path.stat().st_size}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        self.reply(200, json.dumps({"id": repository, "siblings": files}).encode(), {})

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, file: Path, status: int, begin: int, end: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        with file.open("rb") as source:
            source.seek(begin)
            try:
                while begin < end:
                    piece = source.read(min(65_536, end - begin))
                    self.wfile.write(piece)
                    self.server.sent += len(piece)
                    begin += len(piece)
            except OSError:
                self.close_connection = True  # the reader had enough


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    """One server for all tests: the library reads HF_ENDPOINT and HF_TOKEN once, when it is imported."""
    from huggingface_hub import constants

    server = Hub(Path())
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setenv("HF_TOKEN", "hf_test_token")
        yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(server: Hub, tmp_path: Path) -> Hub:
    server.root = tmp_path / "hub"
    server.asked.clear()
    server.sent = 0
    server.ranges = True
    return server


def repository(hub: Hub, name: str) -> Path:
    folder = hub.root / name
    folder.mkdir(parents=True)
    return folder


def test_a_checkpoint_costs_its_headers_only(hub: Hub) -> None:
    folder = repository(hub, "org/little")
    big = qwen3_tensors() | {"model.layers.0.big.weight": ("BF16", (50_000, 50_000))}
    halves = (dict(list(big.items())[::2]), dict(list(big.items())[1::2]))
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    for name, half in zip(names, halves, strict=True):
        save(folder / name, half)
    weight_map = {tensor: name for name, half in zip(names, halves, strict=True) for tensor in half}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": weight_map}), encoding="utf-8"
    )
    (folder / "config.json").write_text(json.dumps(QWEN3), encoding="utf-8")

    model = open_model("hf:org/little", online=True)

    assert (model.id, model.architecture, model.origin) == ("org/little", "qwen3", "online")
    assert stored_weights(model).file_bytes == 2 * (parameter_count(model) + 50_000**2)
    assert model.file_bytes is not None
    assert model.file_bytes > 5 * 10**9
    assert hub.sent < 2 * 2**20
    tokens = {token for path, token, _ in hub.asked if "org/little" in path}
    assert tokens == {"Bearer hf_test_token"}


def test_a_gguf_is_read_by_its_beginning(hub: Hub) -> None:
    folder = repository(hub, "org/little-GGUF")
    tokens = [f"token number {number}" for number in range(100_000)]  # a header of 2.5 MB
    tensors = [*TENSORS, ("blk.0.big.weight", (65_536, 65_536), 1, 2 * 65_536**2)]
    metadata = LLAMA | {"tokenizer.ggml.tokens": tokens}
    write(folder / "little-Q4_K_M.gguf", metadata, tensors)
    write(folder / "little-Q8_0.gguf", LLAMA, TENSORS)
    for name in ("org/little-GGUF", "org/little-GGUF:Q4_K_M", "org/little-GGUF/little-Q4_K_M.gguf"):
        model = open_model(f"hf:{name}", online=True)
        assert model.architecture == "llama"
        assert stored_weights(model).file_bytes == sum(size for *_, size in tensors)
    assert hub.sent < 40 * 2**20
    assert open_model("hf:org/little-GGUF:Q8_0", online=True).id.endswith("little-Q8_0.gguf")


def test_parts_of_a_split_gguf_are_all_asked(hub: Hub) -> None:
    folder = repository(hub, "org/split-GGUF")
    split(folder)
    model = open_model("hf:org/split-GGUF", online=True)
    assert stored_weights(model).file_bytes == sum(size for *_, size in TENSORS)


def test_a_server_that_ignores_ranges_is_not_read_to_the_end(hub: Hub) -> None:
    folder = repository(hub, "org/little-GGUF")
    write(folder / "a.gguf", LLAMA, [*TENSORS, ("blk.0.big.weight", (32_768, 32_768), 1, 2 * 32_768**2)])
    hub.ranges = False
    assert stored_weights(open_model("hf:org/little-GGUF", online=True)).file_bytes > 2 * 10**9
    assert hub.sent < 200 * 2**20


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("org/nothing", "hub_not_found"),
        ("org/secret", "hub_gated"),
        ("justaname", "hub_name"),
        ("../../etc", "hub_name"),
        ("org/empty", "hub_no_model"),
    ],
)
def test_what_the_hub_does_not_give_is_said(hub: Hub, name: str, key: str) -> None:
    repository(hub, "org/empty").joinpath("README.md").write_text("nothing here", encoding="utf-8")
    with pytest.raises(InputError) as error:
        open_model(f"hf:{name}", online=True)
    assert error.value.key == f"model_files.{key}"


def test_a_lying_file_on_the_hub_is_refused(hub: Hub) -> None:
    repository(hub, "org/liar").joinpath("x.gguf").write_bytes(
        b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 40
    )
    with pytest.raises(InputError) as error:
        open_model("hf:org/liar", online=True)
    assert error.value.key == "model_files.gguf_count_impossible"


def test_a_server_that_breaks_down_is_said_in_one_line(hub: Hub) -> None:
    hub.root = None  # type: ignore[assignment]  # the handler dies, the connection closes without an answer
    with pytest.raises(InputError) as error:
        open_model("hf:org/any", online=True)
    assert error.value.key == "model_files.hub_failed"
