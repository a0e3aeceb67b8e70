"""The cache's size by llama.cpp's rules, on models whose figures are published in its logs."""

import msgspec
import pytest

from probe.catalog.models import all_models
from probe.engines.llama_cpp import hparams_of
from probe.estimate.kv_cache import cache_cells, fits_blocks, kv_bytes_per_layer
from probe.estimate.llama_hparams import Hparams
from probe.estimate.not_modeled import NotModeledError
from probe.units import MIB

CATALOG = {model.id: model for model in all_models()}
LLAMA, GEMMA, DEEPSEEK = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "google/gemma-3-4b-it",
    "deepseek-ai/DeepSeek-V3-0324",
)


def sizes(
    name: str, *, flash: bool = True, k: str = "f16", v: str = "f16", **cells: int | bool
) -> tuple[int, ...]:
    h = hparams_of(CATALOG[name])
    asked = {"context": 8192, "parallel": 1, "ubatch": 512, "unified": False} | cells
    return kv_bytes_per_layer(h, cache_cells(h, **asked), type_k=k, type_v=v, flash_attention=flash)  # type: ignore[arg-type]


def test_one_gibibyte_for_eight_thousand_tokens_of_llama_8b() -> None:
    assert sum(sizes(LLAMA)) == 1024 * MIB
    assert set(sizes(LLAMA)) == {32 * MIB}


@pytest.mark.parametrize(
    ("kv_type", "share"), [("f32", 2.0), ("q8_0", 34 / 64), ("q5_1", 24 / 64), ("q4_0", 18 / 64)]
)
def test_quantized_caches_shrink_by_their_blocks(kv_type: str, share: float) -> None:
    assert sum(sizes(LLAMA, k=kv_type, v=kv_type)) == sum(sizes(LLAMA)) * share


def test_keys_and_values_may_have_different_types() -> None:
    mixed = sum(sizes(LLAMA, k="q8_0"))
    assert mixed == (sum(sizes(LLAMA)) + sum(sizes(LLAMA, k="q8_0", v="q8_0"))) // 2


@pytest.mark.parametrize("context", [1, 255, 256, 257, 8191])
def test_context_is_rounded_up_to_256_cells(context: int) -> None:
    h = hparams_of(CATALOG[LLAMA])
    cells = cache_cells(h, context=context, parallel=1, ubatch=512, unified=False)
    assert cells.full % 256 == 0
    assert context <= cells.full < context + 256


def test_conversations_have_a_stream_each_or_share_one() -> None:
    h = hparams_of(CATALOG[LLAMA])
    apart = cache_cells(h, context=1000, parallel=3, ubatch=512, unified=False)
    shared = cache_cells(h, context=1000, parallel=3, ubatch=512, unified=True)
    assert (apart.streams, apart.full) == (3, 1024)
    assert (shared.streams, shared.full) == (1, 3072)


def test_windows_stop_growing_at_window_plus_batch() -> None:
    h = hparams_of(CATALOG[GEMMA])
    long, longer = sizes(GEMMA, context=32768), sizes(GEMMA, context=65536)
    for layer, slides in enumerate(h.sliding):
        assert (longer[layer] == long[layer]) is slides
    assert h.window == 1024
    assert cache_cells(h, context=65536, parallel=1, ubatch=512, unified=False).sliding == 1536
    assert cache_cells(h, context=65536, parallel=4, ubatch=512, unified=True).sliding == 4 * 1024 + 512


def test_latent_attention_stores_one_compressed_key() -> None:
    h = hparams_of(CATALOG[DEEPSEEK])
    assert sum(sizes(DEEPSEEK)) == 8192 * (512 + 64) * 2 * h.layers


def test_without_flash_attention_every_layer_gets_the_widest_values() -> None:
    h = hparams_of(CATALOG["google/gemma-4-31B-it"])
    assert len({heads * size for heads, size in zip(h.kv_heads, h.value_size, strict=True)}) > 1
    name = "google/gemma-4-31B-it"
    assert sum(sizes(name, flash=False)) > sum(sizes(name))


def test_blocks_must_divide_a_head() -> None:
    assert fits_blocks(hparams_of(CATALOG[LLAMA]), "q8_0", "q8_0")
    assert not fits_blocks(hparams_of(CATALOG["microsoft/phi-2"]), "q8_0", "f16")
    assert fits_blocks(hparams_of(CATALOG["microsoft/phi-2"]), "f16", "f16")


def test_a_cache_of_its_own_kind_is_not_guessed() -> None:
    h: Hparams = msgspec.structs.replace(hparams_of(CATALOG[LLAMA]), architecture="graniteswitch")
    cells = cache_cells(h, context=8192, parallel=1, ubatch=512, unified=False)
    with pytest.raises(NotModeledError):
        kv_bytes_per_layer(h, cells, type_k="f16", type_v="f16", flash_attention=True)
