"""What speculative decoding gains: tokens a round against the round's cost, as a range.

A small model drafts k tokens, the large one checks them and one more in a single pass. With the
chance a that one more drafted token is kept, a round yields (1 - a^(k+1)) / (1 - a) tokens and
takes k draft steps and one pass over k + 1 tokens (Leviathan, Kalman, Matias 2023, arXiv
2211.17192, theorem 3.8). Their "one pass costs one step" holds for a memory-bound model only;
here the pass costs what our speed model says of k + 1 tokens at once: more experts are read,
and processors with little arithmetic to spare pay for every token.

The gain is no roofline figure: it depends on what is written. So it stands apart, with a range
from free chat to code, and never enters a verdict.
"""

from typing import NamedTuple

from probe.catalog.speculative import Acceptance, Verification, speculative_table
from probe.machine.ranges import Range

_PLAIN = frozenset({"F32", "F16", "BF16", "Q8_0", "bf16", "fp16", "fp8", "int8"})
MOST_TOKENS = 8


class RoundCost(NamedTuple):
    """Costs in steps of the large model alone: one draft step, and one pass over n tokens at [n - 1]."""

    draft_step: float
    passes: tuple[float, ...]  # for 1, 2, ... tokens; the first is 1

    def pass_over(self, tokens: int) -> float:
        """One pass over `tokens`; beyond what was computed the last slope goes on."""
        if tokens <= len(self.passes):
            return self.passes[max(tokens, 1) - 1]
        slope = self.passes[-1] - self.passes[-2] if len(self.passes) > 1 else 0.0
        return self.passes[-1] + slope * (tokens - len(self.passes))


def expected_tokens(acceptance: float, drafted: int) -> float:
    """Tokens that one round yields on average, the large model's own one included."""
    if acceptance >= 1.0:
        return drafted + 1.0
    return float((1 - acceptance ** (drafted + 1)) / (1 - acceptance))


def verify_share(backend: str, quantization: str, known: Verification | None = None) -> float:
    """How much of the estimated extra time of a batch a small batch really takes."""
    table = known or speculative_table().verify
    if backend != "metal":
        return table.share
    return table.metal_plain_share if quantization in _PLAIN else table.metal_share


def speedup(acceptance: float, drafted: int, cost: RoundCost, *, share: float, round_share: float) -> float:
    """Speed with drafting over speed without; below 1 drafting slows down."""
    extra = max(0.0, cost.pass_over(drafted + 1) - 1.0)
    seconds = drafted * cost.draft_step + 1.0 + share * extra + round_share
    return expected_tokens(acceptance, drafted) / seconds


def speedup_range(method: str, drafted: int, cost: RoundCost, *, backend: str, quantization: str) -> Range:
    """The gain with `drafted` tokens a round, from free chat (low) to code (high).

    Args:
        method: mtp or draft; decides the acceptance.
        backend: llama.cpp's backend, or cuda for vLLM.
        quantization: of the large model: some unpack their weights for every token checked.
    """
    table = speculative_table()
    kept: Acceptance = table.acceptance[method]
    share = verify_share(backend, quantization, table.verify)

    def gain(acceptance: float) -> float:
        return speedup(acceptance, drafted, cost, share=share, round_share=table.verify.round_share)

    return Range(
        low=gain(kept.low), value=gain(kept.value), high=gain(kept.high), basis=f"acceptance:{method}"
    )


def best_drafted(method: str, cost: RoundCost, *, backend: str, quantization: str) -> int:
    """How many tokens to draft a round so that the middle gain is largest; at least 1."""
    counts = range(1, MOST_TOKENS + 1)
    return max(
        counts,
        key=lambda count: (
            speedup_range(method, count, cost, backend=backend, quantization=quantization).value
        ),
    )
