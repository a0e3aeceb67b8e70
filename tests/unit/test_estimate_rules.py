"""Single rules of the arithmetic, each on the model that shows it.

They weigh little in a total, so that no comparison with a measured total would notice them.
"""

import msgspec
import pytest

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.engines.llama_cpp import hparams_of
from probe.estimate.compute_graph.decoder import RECIPES, rotates
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.tensors import model_tensors
from probe.estimate.training import Method, TrainingSetup, training_memory
from probe.estimate.weights.gguf import gguf_types
from probe.units import GIB


def _with_experts(spec: ModelSpec, count: int) -> ModelSpec:
    assert spec.dimensions is not None
    dimensions = msgspec.structs.replace(spec.dimensions, num_experts=count, experts_per_token=1)
    return msgspec.structs.replace(spec, id=f"test/{count}", origin="checkpoint", dimensions=dimensions)


def test_long_rope_has_a_factor_for_each_pair_of_turned_values() -> None:
    """Phi-4-mini turns 96 of 128 values of a head (partial_rotary_factor 0.75): 48 factors each."""
    factors = {
        tensor.name: tensor.shape
        for tensor in model_tensors(find_model("phi-4-mini"))
        if "rope" in tensor.name
    }
    assert factors == {"rope_factors_long.weight": (48,), "rope_factors_short.weight": (48,)}


@pytest.mark.parametrize(("name", "width"), [("deepseek-v3", 128), ("minicpm3-4b", 64), ("glm-5", 256)])
def test_latent_attention_gives_values_of_their_own_width(name: str, width: int) -> None:
    """v_head_dim of config.json; a head of the query is wider by the part that is turned."""
    metadata = gguf_metadata(find_model(name))
    values = [value for key, value in metadata.items() if key.endswith(("value_length_mla", "value_length"))]
    assert width in values


def test_two_experts_are_treated_as_many() -> None:
    """Merges of two 7B models: llama-quant.cpp asks n_expert > 1 when it counts ffn_down."""
    row = find_model("qwen3-30b-a3b")
    two, many = (gguf_types(_with_experts(row, count), "Q4_K_M") for count in (2, 128))
    assert two == many


def test_layers_without_attention_hold_no_state_where_the_model_has_none() -> None:
    """Nemotron Super leaves attention out of some layers; only hybrids put a state in its place."""
    h = hparams_of(find_model("llama-3.3-nemotron-super-49b-v1.5"))
    assert not all(h.kv_heads)
    assert not any(h.recurrent)


@pytest.mark.parametrize(
    ("name", "share"),
    [("mamba2-2.7b", 1.0), ("falcon-h1-7b", 1.0), ("llama-3.1-8b", 0.0), ("qwen3-next-80b-a3b", 0.75)],
)
def test_layers_with_a_state(name: str, share: float) -> None:
    """Qwen3-Next: three gated delta nets for each attention layer; Falcon-H1 has both in every layer."""
    recurrent = hparams_of(find_model(name)).recurrent
    assert sum(recurrent) / len(recurrent) == share


def test_gradients_may_be_held_twice_only_where_buckets_are_sent() -> None:
    """DistributedDataParallel copies gradients into its buckets; one GPU has none, ZeRO its own."""
    spec = find_model("qwen3-4b")
    for gpus, zero, copies in ((1, 0, 1), (2, 0, 2), (2, 1, 1)):
        gradients = training_memory(spec, TrainingSetup(gpus=gpus, zero=zero)).gradients
        assert (gradients.high == copies * gradients.value) and gradients.low == gradients.value


def test_recomputed_layer_is_held_whole_while_it_is_worked_on() -> None:
    """Llama 2 70B has layers wider than its vocabulary: with checkpointing the worst moment is a layer."""
    setup = TrainingSetup(flash_attention=False)
    spec = find_model("llama-2-70b")
    without = training_memory(spec, msgspec.structs.replace(setup, checkpointing=False))
    assert training_memory(spec, setup).compute.value > without.compute.value + GIB


def test_zero_3_gathers_two_layers_in_16_bits() -> None:
    """Llama 2 70B: 855,654,400 weights a layer; the next one is fetched while one is computed."""
    spec = find_model("llama-2-70b")
    setup = TrainingSetup(method=Method.FULL, gpus=8, zero=2)
    gathered = training_memory(spec, msgspec.structs.replace(setup, zero=3)).compute.value
    assert gathered - training_memory(spec, setup).compute.value == 2 * 2 * 855_654_400


def test_short_convolutions_are_told_and_no_window_is_made_up() -> None:
    """LFM2: conv_L_cache 3 in config.json, no sliding_window."""
    spec = find_model("lfm2-1.2b")
    assert gguf_metadata(spec)["lfm2.shortconv.l_cache"] == 3
    assert not any(hparams_of(spec).sliding)
    assert not any(key.endswith("shortconv.l_cache") for key in gguf_metadata(find_model("llama-3.1-8b")))


def test_per_layer_embeddings_have_the_width_that_the_model_says() -> None:
    """Gemma 3n: hidden_size_per_layer_input, 256 in all that were published."""
    row = find_model("gemma-3n-e4b")
    assert row.dimensions is not None
    for width, given in ((256, None), (128, 128)):
        dimensions = msgspec.structs.replace(row.dimensions, hidden_size_per_layer_input=given)
        spec = msgspec.structs.replace(row, id=f"test/{width}", origin="checkpoint", dimensions=dimensions)
        table = next(one for one in model_tensors(spec) if one.name == "per_layer_token_embd.weight")
        assert table.shape[0] == width * row.dimensions.num_hidden_layers


def test_long_glm_has_indexers_in_the_layers_that_llama_cpp_names() -> None:
    """GLM_5_2_DEFAULT_INDEXER_TYPES of src/models/glm-dsa.cpp, for files without the list."""
    metadata = {
        key: value
        for key, value in gguf_metadata(find_model("glm-5.2")).items()
        if not key.endswith("indexer.types")
    }
    full = hparams_from_metadata(metadata).indexer_full
    assert [layer for layer, has in enumerate(full) if has][:6] == [0, 1, 2, 6, 10, 14]


def test_every_fourth_layer_of_smollm_3_is_not_turned() -> None:
    """no_rope_layer_interval 4 in its config.json."""
    spec = find_model("smollm3-3b")
    h = hparams_of(spec)
    turned = [rotates(h, RECIPES[h.architecture], layer) for layer in range(8)]
    assert turned == [True, True, True, False, True, True, True, False]
