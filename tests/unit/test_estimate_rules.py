"""Single rules of the arithmetic, each on the model that shows it.

They weigh little in a total, so that no comparison with a measured total would notice them.
"""

import msgspec
import pytest

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models, find_model
from probe.engines.llama_cpp import hparams_of
from probe.estimate import compute_graph, kv_cache, llama_hparams
from probe.estimate import gguf_metadata as gguf_metadata_rules
from probe.estimate.compute_graph import core
from probe.estimate.compute_graph.decoder import RECIPES, rotates
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.kv_cache import CacheCells, fits_blocks, kv_bytes_per_layer
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors import model_layout, model_tensors
from probe.estimate.training import Method, TrainingSetup, training_memory
from probe.estimate.training_activations import ALL_LINEAR, Kept, layer_bytes
from probe.estimate.weights import checkpoint_weights, gguf_weights
from probe.estimate.weights.gguf import gguf_types
from probe.model_files.llama_cpp_form import known_architectures
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


def test_heads_are_turned_whole_unless_the_model_says_otherwise() -> None:
    """Phi-3-mini turns all of the 96 values of a head."""
    assert gguf_metadata(find_model("phi-3-mini-4k"))["phi3.rope.dimension_count"] == 96


def test_an_unknown_architecture_is_refused_by_its_name() -> None:
    row = find_model("qwen3-8b")
    for architecture, told in (("of-next-year", "of-next-year"), (None, "its-config")):
        spec = msgspec.structs.replace(
            row, origin="checkpoint", architecture=architecture, model_type="its-config"
        )
        with pytest.raises(NotModeledError) as refused:
            model_tensors(spec)
        assert refused.value.facts["architecture"] == told


@pytest.mark.parametrize(("name", "width"), [("deepseek-v3", 128), ("minicpm3-4b", 64), ("glm-5", 256)])
def test_latent_attention_gives_values_of_their_own_width(name: str, width: int) -> None:
    """v_head_dim of config.json; a head of the query is wider by the part that is turned."""
    metadata = gguf_metadata(find_model(name))
    values = [value for key, value in metadata.items() if key.endswith(("value_length_mla", "value_length"))]
    assert width in values


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "deepseek-v2-lite"])
def test_two_experts_are_treated_as_many(name: str) -> None:
    """Merges of two 7B models: llama-quant.cpp asks n_expert > 1 when it counts ffn_down."""
    two, many = (gguf_types(_with_experts(find_model(name), count), "Q4_K_M") for count in (2, 128))
    assert two == many


def test_files_with_an_importance_matrix_are_not_the_plain_ones() -> None:
    """llama-quant.cpp: IQ4_XS without one has Q5_K in the ffn_down of the first eighth, 4 layers of 36."""
    spec = find_model("qwen3-8b")
    plain, told, weighed = (gguf_weights(spec, "IQ4_XS", imatrix=imatrix) for imatrix in (None, False, True))
    assert plain == told
    assert plain.file_bytes - weighed.file_bytes == 4 * 4096 * 12_288 * (176 - 136) // 256


def test_a_file_named_like_a_catalog_model_is_weighed_by_its_own_layers() -> None:
    """Pruned models often keep the name that they were made from."""
    row = find_model("qwen3-8b")
    assert row.dimensions is not None
    dimensions = msgspec.structs.replace(row.dimensions, num_hidden_layers=18)
    pruned = msgspec.structs.replace(row, origin="checkpoint", dimensions=dimensions)
    assert len(gguf_weights(pruned, "Q4_K_M").layers) == 18


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


@pytest.mark.parametrize(
    ("name", "first", "window"),
    [
        ("gemma-2-9b", "SFSFSFSF", 4096),
        ("llama-4-scout", "SSSFSSSFSSSFSSSF", 8192),
        ("command-r7b", "SSSFSSSF", 4096),
        ("exaone-4.0-32b", "SSSFSSSF", 4096),
        ("mimo-v2-flash", "FSSSSF", 128),
        ("exaone-4.0-1.2b", "FFFF", 0),
    ],
)
def test_layers_with_a_window_lie_where_config_json_puts_them(name: str, first: str, window: int) -> None:
    """layer_types of config.json, and attention_chunk_size of Llama 4: S slides, F sees everything."""
    h = hparams_of(find_model(name))
    assert "".join("S" if slides else "F" for slides in h.sliding)[: len(first)] == first
    assert h.window == window


@pytest.mark.parametrize(
    ("architecture", "told", "first", "window"),
    [
        # SmallThinker: a window in every layer but the first of four, once the file says that it has one.
        ("smallthinker", 4096, "FSSSFSSS", 4096),
        ("smallthinker", 0, "FFFFFFFF", 0),
        # PLaMo 3: seven layers slide, the eighth sees everything.
        ("plamo3", 2048, "SSSSSSSF", 2048),
        # LFM2: layers with one key head slide like any other with attention.
        ("lfm2", 1024, "SSSSSSSS", 1024),
    ],
)
def test_files_without_a_pattern_slide_as_their_architecture_does(
    architecture: str, told: int, first: str, window: int
) -> None:
    """load_swa_pattern of src/models/<architecture>.cpp."""
    metadata = {"block_count": 8, "embedding_length": 1024, "vocab_size": 1000, "attention.head_count": 8}
    metadata |= {"attention.head_count_kv": 1, "attention.sliding_window": told, "shortconv.l_cache": 3}
    h = hparams_from_metadata(
        {"general.architecture": architecture}
        | {f"{architecture}.{key}": value for key, value in metadata.items()}
    )
    assert "".join("S" if slides else "F" for slides in h.sliding) == first
    assert h.window == window


@pytest.mark.parametrize("name", ["qwen3-next-80b-a3b", "minimax-m1-80k"])
def test_files_without_a_list_have_their_attention_where_the_catalog_has_it(name: str) -> None:
    """full_attention_interval: every fourth layer of Qwen3-Next, every eighth of MiniMax-01."""
    told = gguf_metadata(find_model(name))
    silent = {key: value for key, value in told.items() if not key.endswith("recurrent_layers")}
    assert silent != told
    assert hparams_from_metadata(silent).recurrent == hparams_from_metadata(told).recurrent


def test_lists_of_layers_have_an_entry_for_each_block() -> None:
    """Prediction blocks included; llama.cpp refuses an array of another length."""
    lists = 0
    for spec in all_models():
        try:
            metadata = gguf_metadata(spec)
        except NotModeledError:
            continue
        blocks = metadata[f"{spec.architecture}.block_count"]
        for key, value in metadata.items():
            if isinstance(value, list) and not key.endswith("indexer.types"):
                lists += 1
                assert (spec.id, key, len(value)) == (spec.id, key, blocks)
    assert lists > 50


@pytest.mark.parametrize("prediction", [None, 3])
def test_layers_with_a_window_may_have_heads_of_their_own(prediction: int | None) -> None:
    """Step 3.5: 96 heads where a layer slides, 64 where it sees everything; prediction blocks slide.

    MiMo V2 Flash, of the same pattern, has 8 key heads where a layer slides and 4 elsewhere.
    """
    row = find_model("mimo-v2-flash")
    assert row.dimensions is not None
    dimensions = msgspec.structs.replace(
        row.dimensions, mtp_layers=prediction, extra={"swa_num_attention_heads": 96}
    )
    like = msgspec.structs.replace(row, dimensions=dimensions)
    step = msgspec.structs.replace(like, architecture="step35")
    kinds = "FSSSS" + "FSSSSS" * 7 + "F" + "S" * (prediction or 0)
    keys, queries = (
        gguf_metadata(like)["mimo2.attention.head_count_kv"],
        gguf_metadata(step)["step35.attention.head_count"],
    )
    assert keys == [8 if kind == "S" else 4 for kind in kinds]
    assert queries == [96 if kind == "S" else 64 for kind in kinds]


@pytest.mark.parametrize(
    ("name", "queries", "key"),
    [("deepseek-v3", 1536, 192), ("glm-5", 2048, 256), ("deepseek-v2-lite", None, 192)],
)
def test_latent_attention_has_keys_of_both_parts(name: str, queries: int | None, key: int) -> None:
    """qk_nope_head_dim + qk_rope_head_dim of config.json, and q_lora_rank where queries are compressed."""
    metadata = gguf_metadata(find_model(name))
    found = {name.partition(".attention.")[2]: value for name, value in metadata.items()}
    assert (found.get("q_lora_rank"), found["key_length_mla"]) == (queries, key)


@pytest.mark.parametrize(("name", "inner"), [("mamba-2.8b", 5120), ("nemotron-nano-9b-v2", 10_240)])
def test_inner_width_of_mamba_is_heads_times_head_or_twice_the_hidden(name: str, inner: int) -> None:
    """Mamba has no heads and expands 2560 twofold; Nemotron Nano has 128 heads of 80, not 2 x 4480."""
    assert hparams_of(find_model(name)).ssm_inner == inner


@pytest.mark.parametrize("name", ["qwen3-next-80b-a3b", "kimi-linear-48b-a3b"])
def test_configs_that_do_not_say_have_convolutions_of_four(name: str) -> None:
    """Default of linear_conv_kernel_dim (Qwen3-Next) and of short_conv_kernel_size (Kimi Linear)."""
    row = find_model(name)
    assert row.dimensions is not None
    dimensions = msgspec.structs.replace(row.dimensions, linear_conv_kernel_dim=None)
    silent = msgspec.structs.replace(row, id="test/silent", origin="checkpoint", dimensions=dimensions)
    assert hparams_of(silent).ssm_conv == 4


def test_states_of_deepseek_v4_are_kept_for_each_conversation() -> None:
    """F32 keys and scores of the window being compressed (src/llama-kv-cache-dsv4.cpp).

    Ratio 4: 8 tokens of twice 512 + 128 values; ratio 128: 128 tokens of 512; without compression none.
    """
    h = hparams_of(find_model("deepseek-v4-flash"))
    none = CacheCells(full=0, sliding=0, streams=1, sequences=3, context=0)
    states = kv_bytes_per_layer(h, none, type_k="f16", type_v="f16", flash_attention=True)
    kinds = dict(zip(h.compress_ratios, states, strict=True))
    assert kinds == {0: 0, 4: 3 * 81_920, 128: 3 * 524_288}


def test_heads_that_do_not_divide_are_found_behind_layers_without_a_cache() -> None:
    """Qwen3-Next begins with three layers that have none; 80 values are not whole blocks of 32."""
    h = hparams_of(find_model("qwen3-next-80b-a3b"))
    narrow = msgspec.structs.replace(h, key_size=(80,) * h.layers)
    assert not h.cached[0]
    assert fits_blocks(h, "q8_0", "q8_0")
    assert fits_blocks(narrow, "f16", "q8_0")
    assert not fits_blocks(narrow, "q8_0", "f16")


def test_both_caches_of_four_bits_with_one_scale_are_equal() -> None:
    """q4_0 and iq4_nl: 16 bytes of codes and a half-precision scale for 32 numbers (ggml-common.h)."""
    h = hparams_of(find_model("llama-3.1-8b"))
    cells = CacheCells(full=8192, sliding=8192, streams=1, sequences=1, context=8192)
    plain, lookup = (
        kv_bytes_per_layer(h, cells, type_k=kind, type_v=kind, flash_attention=True)
        for kind in ("q4_0", "iq4_nl")
    )
    assert lookup == plain


def test_unknown_architecture_of_no_family_is_spread_evenly() -> None:
    """Qwen3-8B's shapes with 9 G parameters, a third of them used: table and head of 4096 x 151,936 each."""
    spec = msgspec.structs.replace(
        find_model("qwen3-8b"),
        origin="checkpoint",
        architecture="of-next-year",
        model_type="of-next-year",
        params_text=9_000_000_000,
        params_active=3_000_000_000,
    )
    weights = checkpoint_weights(spec, "bf16")
    table = 4096 * 151_936
    assert not weights.exact
    assert (weights.token_embedding_bytes, weights.output_bytes) == (2 * table, 2 * table)
    assert sum(weights.layers) == pytest.approx(2 * (9_000_000_000 - 2 * table), abs=2 * 36)
    assert (len(weights.layers), len(set(weights.layers))) == (36, 1)
    assert sum(weights.layer_active) / sum(weights.layers) == pytest.approx(1 / 3, abs=1e-6)


def test_rules_name_architectures_that_llama_cpp_has() -> None:
    """A name spelled otherwise is a rule that never holds: granite-swa had full caches for granite_swa."""
    named = (
        llama_hparams.RECURRENT_ARCHITECTURES,
        llama_hparams.HYBRID_ARCHITECTURES,
        llama_hparams.CACHELESS_ARCHITECTURES,
        llama_hparams._SWA,
        llama_hparams._SWA_ARRAY,
        kv_cache._OTHER_CACHES,
        kv_cache._INDEXER_ROWS,
        core._NO_MIXED_INPUT,
        gguf_metadata_rules._LATENT,
        gguf_metadata_rules._MARKED_BY_HEADS,
        gguf_metadata_rules._ROUTERS,
        gguf_metadata_rules._SLIDING_ARRAYS,
        RECIPES,
        compute_graph._OTHERS,
    )
    assert {name for names in named for name in names} - known_architectures() == {"eagle3"}


def test_a_made_file_of_phi_4_mini_turns_96_of_128_values() -> None:
    assert gguf_metadata(find_model("phi-4-mini-instruct"))["phi3.rope.dimension_count"] == 96


def test_prediction_blocks_of_glm_5_2_have_no_indexer_type() -> None:
    """The loader takes n_layer() entries, block_count less prediction blocks, and refuses another number."""
    made = gguf_metadata(find_model("glm-5.2"))
    types = made["glm-dsa.attention.indexer.types"]
    assert isinstance(types, list)
    assert (made["glm-dsa.block_count"], len(types), sum(types)) == (79, 78, 21)


def test_indexers_of_minimax_m3_stand_beside_its_experts() -> None:
    """The first three layers are dense and look at everything."""
    names = [tensor.name for tensor in model_tensors(find_model("minimax-m3"))]
    found, routed = (
        {name.split(".")[1] for name in names if part in name}
        for part in (".indexer.q_proj", ".ffn_gate_exps")
    )
    assert found == routed != set()
    assert "0" not in found


@pytest.mark.parametrize("format_name", ["int8", "fp8"])
def test_formats_of_eight_bits_have_a_scale_of_16_bits_for_each_row(format_name: str) -> None:
    """compressed-tensors stores weight_scale as bf16 [rows, 1]; Qwen3-8B."""
    shapes = (
        (4096, 4096),
        (1024, 4096),
        (1024, 4096),
        (4096, 4096),
        (12288, 4096),
        (12288, 4096),
        (4096, 12288),
    )
    linears = sum(rows * columns + 2 * rows for rows, columns in shapes)
    assert set(checkpoint_weights(find_model("qwen3-8b"), format_name).layers) == {
        linears + 2 * (2 * 4096 + 2 * 128)
    }


def test_band_of_a_layer_that_is_not_followed_is_wide() -> None:
    """Jamba's Mamba layers: at most 1.8 times what is computed (catalogs, our prior)."""
    spec = find_model("jamba-mini-1.7")
    setup = TrainingSetup(flash_attention=False, sequence=8192)
    compute = training_memory(spec, setup).compute
    assert 1.7 < compute.high / compute.value < 1.81


def test_full_training_keeps_the_inputs_that_adapters_on_all_matrices_keep() -> None:
    """Mamba-2: beside those, only the trained norm keeps its normalized input."""
    layout = model_layout(find_model("mamba2-2.7b"))
    adapted = Kept(
        trains_all=False,
        residual=2,
        cast_copies=False,
        targets=(ALL_LINEAR,),
        rank=0,
        flash_attention=True,
        sequence=1,
    )
    trained = adapted._replace(trains_all=True)
    parts = layout.templates[0]
    more = layer_bytes(layout, parts, trained).saved - layer_bytes(layout, parts, adapted).saved
    assert more == pytest.approx(2 * 2560, abs=16)  # convolution, decay and skip have no adapter
