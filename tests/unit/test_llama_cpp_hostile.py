"""Metadata that lies: an answer or "not modeled", at once, never another error."""

import gzip
import json
import math
import random
import time
from pathlib import Path

import pytest

from probe.engines.llama_cpp import lay_out
from probe.engines.request import LayerSplit, Request
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weight_bytes import WeightBytes
from probe.model_files.gguf_model import model_from_metadata

TRUTH = Path(__file__).resolve().parents[1] / "truth"
LIES: tuple[object, ...] = (
    0, -1, 1, 2**31, 2**63, 2**64 - 1, math.nan, math.inf, -1e300, "x", [], [0], [2**40] * 3, True, None,
    [None, 1], ["a"], [math.inf] * 99, 1e18, 7, 3.5,
)  # fmt: skip
WEIGHTS = WeightBytes(
    quantization="Q4_K_M",
    file_bytes=0,
    layers=(1,) * 8,
    layer_experts=(0,) * 8,
    layer_active=(1,) * 8,
    token_embedding_bytes=1,
)
SPLITS = (LayerSplit(), LayerSplit(gpu_layers=5, shares=(("gpu0", 1.0), ("gpu1", 2.0))))


def honest() -> list[dict[str, object]]:
    with gzip.open(TRUTH / "llamacpp_arch_further.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line)["metadata"] for line in stream]


@pytest.mark.parametrize("seed", range(4))
def test_lying_metadata_is_answered_or_refused_at_once(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # repeatable, nothing secret
    models = honest()
    request = Request(parallel=4, kv_type_k="q8_0", kv_type_v="q8_0", kv_unified=True)
    for _ in range(60):
        metadata = dict(chance.choice(models))
        for key in chance.sample(sorted(metadata), 2):
            metadata[key] = chance.choice(LIES)
        started = time.thread_time()
        spec = model_from_metadata(metadata, name="x")
        for split in SPLITS:
            total = lay_out(spec, WEIGHTS, request, split, backend="cuda").total_bytes
            assert total is None or total >= 0, metadata
        assert time.thread_time() - started < 5, metadata


@pytest.mark.parametrize("count", [0, -1, 2_001, 2**40, math.nan, "32"])
def test_a_count_of_layers_that_cannot_be_is_refused(count: object) -> None:
    metadata = {"general.architecture": "llama", "llama.block_count": count, "llama.embedding_length": 64}
    with pytest.raises(NotModeledError):
        hparams_from_metadata(metadata)
