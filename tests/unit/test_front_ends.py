"""Front ends on llama.cpp: their defaults and their commands."""

import pytest

from probe.engines import lmstudio, ollama
from probe.engines.request import LayerSplit, Request
from probe.units import GIB


@pytest.mark.parametrize(
    ("gpu", "tokens"), [(0, 4096), (8, 4096), (24, 32768), (47, 32768), (48, 262144), (192, 262144)]
)
def test_ollama_takes_its_context_from_the_gpu_memory(gpu: int, tokens: int) -> None:
    assert ollama.default_context(gpu * GIB) == tokens


def test_ollama_does_not_go_above_the_trained_length() -> None:
    assert ollama.own_request(Request(), gpu_bytes=80 * GIB, trained=131072).context == 131072
    assert ollama.own_request(Request(), gpu_bytes=80 * GIB, trained=None).context == 262144


def test_ollamas_server_is_told_what_was_computed() -> None:
    request = Request(context=16384, parallel=2, kv_type_k="q8_0", kv_type_v="q8_0", flash_attention=True)
    serve, run = ollama.commands("bartowski/X-GGUF:Q4_K_M", request)
    assert serve == (
        "OLLAMA_CONTEXT_LENGTH=16384 OLLAMA_NUM_PARALLEL=2 OLLAMA_FLASH_ATTENTION=1 "
        "OLLAMA_KV_CACHE_TYPE=q8_0 ollama serve"
    )
    assert run == "ollama run hf.co/bartowski/X-GGUF:Q4_K_M"


def test_ollama_has_one_cache_type_of_three() -> None:
    assert not ollama.refuses(Request(kv_type_k="q4_0", kv_type_v="q4_0"))
    assert ollama.refuses(Request(kv_type_k="q5_1", kv_type_v="q5_1"))
    assert ollama.refuses(Request(kv_type_k="q8_0"))


@pytest.mark.parametrize(("gpu_layers", "share"), [(0, "off"), (33, "max"), (11, "0.33")])
def test_lm_studio_gets_a_share_of_the_layers(gpu_layers: int, share: str) -> None:
    split = LayerSplit(gpu_layers=gpu_layers, shares=(("gpu0", 1.0),))
    get, load = lmstudio.commands("bartowski/X-GGUF:Q4_K_M", Request(parallel=2), split, layers=32)
    assert get == "lms get bartowski/X-GGUF@q4_k_m"
    assert load == f"lms load x-gguf --gpu={share} --context-length=16384"
