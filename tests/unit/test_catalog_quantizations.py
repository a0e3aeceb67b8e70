"""Recipes against the bits per weight that llama.cpp publishes, formats against their own arithmetic."""

import pytest

from probe.catalog.quantizations import (
    RecipeFacts,
    all_checkpoint_formats,
    all_gguf_types,
    all_recipes,
    find_checkpoint_format,
    find_recipe,
    fitting_type,
    gguf_type,
    kv_cache_types,
    recipe_by_file_type,
)
from probe.errors import UnknownNameError

LLAMA_31_8B = {"hidden": 4096, "layers": 32, "ffn": 14336, "vocab": 128256, "kv_heads": 8}


def bits_per_weight(quantization: str, *, imatrix: bool) -> float:
    """Whole-file bits per weight of Llama-3.1-8B, from its tensors."""
    recipe = find_recipe(quantization)
    facts = RecipeFacts(heads_per_kv_head=4, imatrix=imatrix)
    hidden, layers, ffn = LLAMA_31_8B["hidden"], LLAMA_31_8B["layers"], LLAMA_31_8B["ffn"]
    kv_width = LLAMA_31_8B["kv_heads"] * 128
    bits = weights = 0
    matrices = [
        ("attn_q", hidden, hidden),
        ("attn_k", kv_width, hidden),
        ("attn_v", kv_width, hidden),
        ("attn_output", hidden, hidden),
        ("ffn_gate", ffn, hidden),
        ("ffn_up", ffn, hidden),
        ("ffn_down", hidden, ffn),
    ]
    listed = [(*matrix, layer) for layer in range(layers) for matrix in matrices]
    vocab = LLAMA_31_8B["vocab"]
    listed += [("token_embd", vocab, hidden, 0), ("output", vocab, hidden, 0)]
    for category, rows, row_weights, layer in listed:
        chosen = recipe.tensor_type(category, layer, layers, facts, row_weights=row_weights)
        row_bytes = gguf_type(chosen).row_bytes(row_weights)
        assert row_bytes is not None
        bits += row_bytes * rows * 8
        weights += rows * row_weights
    small = (2 * layers + 1) * hidden + 64  # norms and rope factors, F32
    return (bits + small * 32) / (weights + small)


# Measured bits per weight: llama.cpp tools/quantize/README.md, Llama-3.1-8B.
@pytest.mark.parametrize(
    ("quantization", "imatrix", "published"),
    [
        ("Q8_0", False, 8.5008),
        ("Q6_K", False, 6.5633),
        ("Q5_K_M", False, 5.7036),
        ("Q5_K_S", False, 5.5704),
        ("Q4_K_M", False, 4.8944),
        ("Q4_K_S", False, 4.6672),
        ("Q3_K_L", False, 4.2979),
        ("Q3_K_M", False, 3.9960),
        ("Q3_K_S", False, 3.6429),
        ("Q2_K", False, 3.1593),
        ("Q2_K_S", True, 2.9697),
        ("IQ4_NL", False, 4.6818),
        ("IQ4_XS", False, 4.4597),
        ("IQ3_M", True, 3.7628),
        ("IQ3_S", True, 3.6606),
        ("IQ3_XS", True, 3.4977),
        ("IQ3_XXS", True, 3.2548),
        ("IQ2_M", True, 2.9294),
        ("IQ2_S", True, 2.7403),
        ("IQ2_XS", True, 2.5882),
        ("IQ2_XXS", True, 2.3824),
        ("IQ1_M", True, 2.1460),
        ("IQ1_S", True, 2.0042),
    ],
)
def test_recipe_gives_the_published_bits_per_weight(
    quantization: str, imatrix: bool, published: float
) -> None:
    assert bits_per_weight(quantization, imatrix=imatrix) == pytest.approx(published, abs=0.00006)


def test_row_that_is_no_whole_number_of_blocks_takes_a_larger_type() -> None:
    """Qwen2.5-0.5B has rows of 896 weights: 256-blocks do not fit, 32-blocks do."""
    assert fitting_type("Q4_K", 896) == "Q5_0"
    assert fitting_type("Q6_K", 896) == "Q8_0"
    assert fitting_type("IQ3_S", 896) == "IQ4_NL"
    assert fitting_type("Q4_K", 70) == "F16"
    assert fitting_type("Q4_K", 1024) == "Q4_K"


def test_eight_expert_models_keep_values_and_keys_in_eight_bits() -> None:
    """Mixtral 8x7B: attn_v and attn_k are raised to Q8_0, attn_output to Q5_K."""
    facts = RecipeFacts(heads_per_kv_head=4, experts=8)
    recipe = find_recipe("Q4_K_M")
    chosen = {
        name: recipe.tensor_type(name, 10, 32, facts, row_weights=4096)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output")
    }
    assert chosen == {"attn_q": "Q4_K", "attn_k": "Q8_0", "attn_v": "Q8_0", "attn_output": "Q5_K"}


def test_mxfp4_keeps_only_stacked_experts_in_four_bits() -> None:
    facts = RecipeFacts(heads_per_kv_head=8, experts=32)
    recipe = find_recipe("MXFP4_MOE")
    assert recipe.tensor_type("ffn_down", 3, 24, facts, row_weights=2880, stacked=True) == "MXFP4"
    assert recipe.tensor_type("attn_q", 3, 24, facts, row_weights=2880) == "Q8_0"
    assert recipe.tensor_type("token_embd", 0, 1, facts, row_weights=2880) == "Q8_0"


def test_names_resolve_whatever_the_case_and_headers_by_number() -> None:
    assert find_recipe("q4_k_m").name == "Q4_K_M"
    assert find_recipe("Q4_K").name == "Q4_K_M"
    by_number = recipe_by_file_type(15)
    assert by_number is not None
    assert by_number.name == "Q4_K_M"
    assert recipe_by_file_type(999) is None
    assert find_checkpoint_format("GPTQ-Int4").name == "gptq-int4"


@pytest.mark.parametrize("typed", ["Q4_K_XXL", "Q9_0", "four bits", ""])
def test_unknown_quantization_is_refused(typed: str) -> None:
    with pytest.raises(UnknownNameError):
        find_recipe(typed)


def test_every_rule_names_a_type_and_a_condition_that_exist() -> None:
    types = {row.name for row in all_gguf_types()}
    facts = RecipeFacts()
    for recipe in all_recipes():
        assert recipe.base in types
        for rule in recipe.rules:
            assert rule.type in types
            for condition in rule.when:
                facts.holds(condition, 0, 32, odd_rows=False, stacked=False)


def test_fewer_bits_lose_more_among_published_k_quants() -> None:
    order = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"]
    losses = [find_recipe(name).best_loss() for name in order]
    values = [loss.mean_kl_divergence for loss in losses if loss is not None]
    assert len(values) == len(order)
    assert values == sorted(values)


def test_checkpoint_format_arithmetic_agrees_with_the_documented_width() -> None:
    for row in all_checkpoint_formats():
        assert row.bits_per_weight == pytest.approx(row.documented_bits_per_weight, abs=0.001), row.name


def test_cache_types_cost_what_their_blocks_cost() -> None:
    """q8_0 is 8.5 bits an element, q4_0 4.5."""
    bits = {row.name: row.bits_per_element for row in kv_cache_types("llama.cpp")}
    assert (bits["f16"], bits["q8_0"], bits["q4_0"]) == (16, 8.5, 4.5)
    assert "q8_0" in {row.name for row in kv_cache_types("ollama")}
    assert kv_cache_types("no such engine") == ()
