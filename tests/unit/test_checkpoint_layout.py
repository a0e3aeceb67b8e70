"""Checkpoints of models that llama.cpp does not know: a family's layers with their very parameter count."""

import msgspec
import pytest

from probe.catalog.models import find_model
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.tensors.checkpoint_layout import checkpoint_layout
from probe.estimate.tensors.layout import model_layout
from probe.estimate.weights import checkpoint_weights


@pytest.mark.parametrize("model", ["pixtral-12b", "solar-pro-preview", "kanana-nano-2.1b-embedding"])
def test_an_unknown_architecture_takes_the_family_that_counts_the_same(model: str) -> None:
    spec = find_model(model)
    with pytest.raises(NotModeledError):
        model_layout(spec)
    layout = checkpoint_layout(spec)
    assert layout is not None
    assert spec.params_text is not None
    # Two bytes a weight: the sum over the family's tensors is the published count.
    weights = checkpoint_weights(spec, "bf16")
    text_bytes = weights.file_bytes - weights.vision_bytes
    assert text_bytes == pytest.approx(2 * spec.params_text, rel=0.0005)


def test_a_known_architecture_keeps_its_own_layout() -> None:
    spec = find_model("qwen3-8b")
    assert checkpoint_layout(spec) == model_layout(spec)


@pytest.mark.parametrize(
    "changes",
    [
        {"params_text": 13_000_000_000},  # no family has 0.75 G more than these shapes
        {"params_text": None},
        {"dimensions": None},
    ],
)
def test_without_a_matching_count_no_layout_is_guessed(changes: dict[str, object]) -> None:
    spec = msgspec.structs.replace(find_model("pixtral-12b"), **changes)
    assert checkpoint_layout(spec) is None


@pytest.mark.parametrize("model", ["qwen3-30b-a3b", "gemma-2-9b", "deepseek-v2-lite"])
def test_a_renamed_model_weighs_and_reads_what_it_did(model: str) -> None:
    """Experts, a tied head, latent attention: found again by the count alone."""
    spec = find_model(model)
    stranger = msgspec.structs.replace(spec, architecture=None, model_type="unheard-of")
    own, found = checkpoint_weights(spec, "bf16"), checkpoint_weights(stranger, "bf16")
    assert found.file_bytes == pytest.approx(own.file_bytes, rel=0.0005)
    assert found.active_bytes == pytest.approx(own.active_bytes, rel=0.005)
