"""The refresh script against a hub on this computer: a real HTTP server with a few documents."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts import update_catalog
from scripts.build_models import MODELS

# A Llama of two layers: 2 x 96 x 64 tables, 96 + 2 x 2 x 96 norms ... counted by hand below.
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 64,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
ATTENTION = 96 * 96 * 2 + 96 * 48 * 2
TOTAL = 2 * 96 * 64 + 96 + 2 * (ATTENTION + 3 * 96 * 128 + 2 * 96)


class Hub:
    """Documents by path, and the address they are served at."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = hub.documents.get(self.path.lstrip("/"))
                self.send_response(200 if document is not None else 404)
                self.end_headers()
                if document is not None:
                    self.wfile.write(json.dumps(document).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def publish(self, repository: str, *, total: int, config: dict[str, Any] | None, **card: Any) -> None:
        self.documents[f"api/models/{repository}"] = {
            "id": repository,
            "createdAt": "2026-12-01T09:00:00.000Z",
            "safetensors": {"total": total},
            "cardData": card,
        }
        if config is not None:
            self.documents[f"{repository}/resolve/main/config.json"] = config

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    served = Hub()
    yield served
    served.close()


def run(hub: Hub, folder: Path, *arguments: str) -> None:
    assert update_catalog.main(["--endpoint", hub.endpoint, "--source", str(folder), *arguments]) == 0


def test_a_new_model_that_adds_up_is_written(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/Tiny-Llama-1M", total=TOTAL, config=CONFIG, license="apache-2.0", language=["ko", "en"])
    run(hub, tmp_path, "--add", "org/Tiny-Llama-1M", "--vendor", "org", "--write")
    assert '+  "id": "org/Tiny-Llama-1M"' in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "org.json").read_text(encoding="utf-8"))
    assert (row["alias"], row["params_text"], row["architecture"]) == ("tiny-llama-1m", TOTAL, "llama")
    assert row["languages"][0]["code"] == "ko"
    assert row["source"]


def test_a_new_model_whose_weights_do_not_add_up_is_refused(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/Lying-1M", total=TOTAL + 9999, config=CONFIG, license="mit")
    run(hub, tmp_path, "--add", "org/Lying-1M", "--vendor", "org", "--write")
    said = capsys.readouterr()
    assert f"{TOTAL:,}" in said.err
    assert f"{TOTAL + 9999:,}" in said.err
    assert not said.out
    assert not (tmp_path / "org.json").exists()


def test_a_refresh_shows_its_diff_and_writes_only_when_asked(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/Tiny-Llama-1M", total=TOTAL, config=CONFIG, license="apache-2.0", language="en")
    run(hub, tmp_path, "--add", "org/Tiny-Llama-1M", "--vendor", "org", "--write")
    capsys.readouterr()
    before = (tmp_path / "org.json").read_text(encoding="utf-8")

    run(hub, tmp_path)
    assert capsys.readouterr().out == ""

    hub.publish(
        "org/Tiny-Llama-1M", total=TOTAL, config=CONFIG, license="cc-by-nc-4.0", language=["en", "ko"]
    )
    run(hub, tmp_path, "org/Tiny-Llama-1M")
    diff = capsys.readouterr().out
    assert '-  "license": "apache-2.0"' in diff
    assert '+  "license": "cc-by-nc-4.0"' in diff
    assert (tmp_path / "org.json").read_text(encoding="utf-8") == before

    run(hub, tmp_path, "--write")
    (row,) = json.loads((tmp_path / "org.json").read_text(encoding="utf-8"))
    assert row["license"] == "cc-by-nc-4.0"
    assert "commercial_use" not in row  # a person reads the new licence first
    assert [language["code"] for language in row["languages"]] == ["ko", "en"]


def test_a_checkpoint_that_changed_its_weights_is_refused(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/Tiny-Llama-1M", total=TOTAL, config=CONFIG, license="mit")
    run(hub, tmp_path, "--add", "org/Tiny-Llama-1M", "--vendor", "org", "--write")
    before = (tmp_path / "org.json").read_text(encoding="utf-8")
    capsys.readouterr()
    hub.publish("org/Tiny-Llama-1M", total=2 * TOTAL, config=CONFIG, license="mit")
    run(hub, tmp_path, "--write")
    assert "refused" in capsys.readouterr().err
    assert (tmp_path / "org.json").read_text(encoding="utf-8") == before


def test_a_row_that_the_hub_does_not_show_stays(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("org/Tiny-Llama-1M", total=TOTAL, config=CONFIG, license="mit")
    run(hub, tmp_path, "--add", "org/Tiny-Llama-1M", "--vendor", "org", "--write")
    hub.documents.clear()
    capsys.readouterr()
    run(hub, tmp_path, "--write")
    said = capsys.readouterr()
    assert "left as it is" in said.err
    assert not said.out


def test_only_https_and_this_computer_are_asked() -> None:
    with pytest.raises(update_catalog.NotOnHubError):
        update_catalog.fetch("http://example.org", "api/models/a/b")
    with pytest.raises(update_catalog.NotOnHubError):
        update_catalog.fetch("file:///etc", "passwd")
    with pytest.raises(update_catalog.NotOnHubError):
        update_catalog.fetch("http://127.0.0.1.example.org", "api/models/a/b")


def test_source_files_are_kept_one_key_a_line() -> None:
    for path in sorted((MODELS / "source").glob("*.json")):
        text = path.read_text(encoding="utf-8")
        assert update_catalog.format_rows(json.loads(text)) == text, path.name
