"""A folder with everything that examples in help and in docs/ name, and a shell that runs them there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.rig.sparse_gguf import write
from tests.unit.fleet_folders import OFFICE_PC, SERVER, put, report_as

ROOT = Path(__file__).resolve().parents[2]
Q4_K, Q6_K, F32 = 12, 14, 0
LAYERS, WIDTH, FEED, KV, WORDS = 4, 512, 1536, 128, 4096
LLAMA = {
    "general.architecture": "llama", "general.name": "Little", "general.file_type": 15,
    "llama.block_count": LAYERS, "llama.embedding_length": WIDTH, "llama.feed_forward_length": FEED,
    "llama.attention.head_count": 8, "llama.attention.head_count_kv": 2, "llama.context_length": 32768,
    "llama.vocab_size": WORDS,
}  # fmt: skip
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
    "hidden_size": 1024, "num_hidden_layers": 8, "vocab_size": 32000, "max_position_embeddings": 8192,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2816,
    "tie_word_embeddings": False,
}  # fmt: skip
# Written by hand with the fields that matter, as the docs show it.
BY_HAND = {
    "kind": "machine",
    "accelerators": [
        {"vendor": "nvidia", "name": "NVIDIA GeForce RTX 4090", "memory_total_bytes": 25757220864}
    ],
    "memory": {"total_bytes": 68719476736},
}
# What the answer of the machine that runs the tests decides: 1 is an answer too.
MAY_SAY_NO = re.compile(r"^probe (check|plan|train|preflight|diff|fleet .*--model|doctor .*--error)\b")


class Run(NamedTuple):
    """What a line printed and how it ended."""

    code: int
    stdout: str
    stderr: str


def tensors() -> list[tuple[str, tuple[int, ...], int, int]]:
    def row(name: str, columns: int, rows: int, kind: int = Q4_K) -> tuple[str, tuple[int, ...], int, int]:
        size = {Q4_K: 144, Q6_K: 210}[kind] * columns * rows // 256
        return (name, (columns, rows), kind, size)

    found = [row("token_embd.weight", WIDTH, WORDS, Q6_K), ("output_norm.weight", (WIDTH,), F32, 4 * WIDTH)]
    for layer in range(LAYERS):
        at = f"blk.{layer}"
        found += [
            (f"{at}.attn_norm.weight", (WIDTH,), F32, 4 * WIDTH),
            row(f"{at}.attn_q.weight", WIDTH, WIDTH),
            row(f"{at}.attn_k.weight", WIDTH, KV),
            row(f"{at}.attn_v.weight", WIDTH, KV, Q6_K),
            row(f"{at}.attn_output.weight", WIDTH, WIDTH),
            (f"{at}.ffn_norm.weight", (WIDTH,), F32, 4 * WIDTH),
            row(f"{at}.ffn_gate.weight", WIDTH, FEED),
            row(f"{at}.ffn_up.weight", WIDTH, FEED),
            row(f"{at}.ffn_down.weight", FEED, WIDTH, Q6_K),
        ]
    return found


def make_folder(folder: Path) -> Path:
    """The files that the examples name, and the commands they call, in `folder`."""
    server = report_as(SERVER, name="server-1", host_id="1" * 16, api_url="http://server-1:8000")
    office = report_as(OFFICE_PC, name="office-1", host_id="2" * 16)
    for path, report in (
        ("report.json", server),
        ("last-month.json", office),
        ("today.json", office),
        ("reports/server-1.json", server),
        ("reports/office-1.json", office),
        ("reports/office-2.json", report_as(OFFICE_PC, name="office-2", host_id="3" * 16)),
    ):
        put(folder, path, report)
    (folder / "machine.json").write_text(json.dumps(BY_HAND), encoding="utf-8")
    write(folder / "model.gguf", LLAMA, tensors())
    (folder / "my-model").mkdir()
    (folder / "my-model" / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    commands = folder / ".bin"
    commands.mkdir()
    for name, body in (
        ("probe", f'exec "{sys.executable}" -m probe "$@"'),
        ("vllm", "echo 'ValueError: No available memory for the cache blocks.' >&2; exit 1"),
    ):
        (commands / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (commands / name).chmod(0o755)
    return folder


def run_line(line: str, original: Path, folder: Path, **environment: str) -> Run:
    """The line in bash, in a fresh copy of the folder that `make_folder` made."""
    shutil.copytree(original, folder)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={
            "PATH": f"{folder / '.bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "XDG_STATE_HOME": str(folder / ".state"),
            "HOME": str(folder),
            "LANG": "en_US.UTF-8",
            "SHELL": "/bin/bash",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)
