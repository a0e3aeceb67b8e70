"""`probe catalog add`: a user's own model becomes a row that every command knows."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "hidden_size": 1024,
    "num_hidden_layers": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 8192,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 2816,
    "tie_word_embeddings": False,
}


def probe(state: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "probe", *arguments, "--lang", "en"],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )


def test_an_added_model_is_known_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "office-llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    state = tmp_path / "state"
    before = probe(state, "check", "office-llama", "--as", "RTX 4090", "--json")
    assert before.returncode == 2
    added = probe(state, "catalog", "add", str(folder))
    assert added.returncode == 0, added.stderr
    after = probe(state, "check", "office-llama", "--quant", "Q8_0", "--as", "RTX 4090", "--json")
    assert after.returncode == 0, after.stderr
    assert json.loads(after.stdout)["fits"] is True


def test_a_model_of_unknown_shape_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "never-seen"}', encoding="utf-8")
    refused = probe(tmp_path / "state", "catalog", "add", str(folder))
    assert refused.returncode == 2
    assert not (tmp_path / "state" / "probe" / "models").exists()
