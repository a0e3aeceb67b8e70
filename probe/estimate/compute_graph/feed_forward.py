"""Feed-forward networks and mixtures of experts.

Source: build_ffn and build_moe_ffn, src/llama-graph.cpp#L1799 and #L2044, llama.cpp b11434.
"""

from typing import Final

from probe.estimate.compute_graph.core import Core
from probe.estimate.compute_graph.ggml import I32, Tensor

# llama_expert_gating_func_type, src/llama-hparams.h
SOFTMAX: Final = 1
SIGMOID: Final = 2
SOFTMAX_WEIGHT: Final = 3
SQRT_SOFTPLUS: Final = 4


class FeedForwardParts(Core):
    """The parts of feed-forward layers."""

    def ffn(
        self,
        x: Tensor,
        up: str = "ffn_up",
        gate: str = "ffn_gate",
        down: str = "ffn_down",
        *,
        fused: bool = False,
    ) -> Tensor:
        """A feed-forward network, gated where the layer has a gate.

        Args:
            fused: one weight holds gate and up (Phi-3, ChatGLM, GLM-4).
        """
        g = self.g
        wide = self.linear(x, up)
        if fused:
            active = g.new((wide.ne[0] // 2, *wide.ne[1:]), wide)
        elif f"{gate}.weight" in self.layer:
            gated = self.linear(x, gate)
            active = g.new(gated.ne, gated, wide)
        else:
            active = g.over(wide)
        if "ffn_sub_norm.weight" in self.layer:
            active = self.norm(active, "ffn_sub_norm")
        return self.linear(active, down)

    def shared_expert(self, x: Tensor) -> Tensor:
        """The expert every token runs through."""
        return self.ffn(x, "ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")

    def moe(
        self,
        x: Tensor,
        *,
        gating: int = SOFTMAX,
        normalized: bool = True,
        weigh_input: bool = False,
        router: Tensor | None = None,
        selected: Tensor | None = None,
    ) -> Tensor:
        """A mixture of experts.

        Args:
            normalized: the chosen experts' weights are made to sum up to one.
            weigh_input: the router's weights scale the input (Llama 4), not the output.
            router: logits computed elsewhere.
            selected: experts chosen elsewhere.
        """
        g, n, h = self.g, x.ne[1], self.h
        width, number, used = x.ne[0], h.experts, h.experts_used[self.index]
        logits = self._router(x) if router is None else router
        if gating == SQRT_SOFTPLUS:
            probs = g.over(g.over(logits))
        else:
            probs = logits if gating == SOFTMAX_WEIGHT else g.over(logits)
        if selected is None:
            selected = self._choose(logits if weigh_input else probs, biased=not weigh_input)
        weights = g.new((1, used, n), g.view(probs, (1, number, n)), selected)
        if gating == SOFTMAX_WEIGHT:
            weights = g.view(g.over(g.view(weights, (used, n))), (1, used, n))
        if normalized:
            flat = g.view(weights, (used, n))
            total = g.over(g.new((1, n), flat))
            weights = g.view(g.over(flat, total), (1, used, n))
        scale = h.metadata.get(f"{h.architecture}.expert_weights_scale", 0.0)
        if isinstance(scale, (int, float)) and scale not in (0, 1):
            weights = g.over(weights)
        g.expand(weights)
        x = g.view(x, (width, 1, n))
        if weigh_input:
            x = g.over(g.new((width, used, n), x), weights)
        out = self._through_experts(x, selected, used)
        if not weigh_input:
            out = g.over(out, weights)
        g.expand(out)
        return self._sum_of_experts(out, used)

    def _router(self, x: Tensor) -> Tensor:
        logits = self.matmul(x, "ffn_gate_inp", self.h.experts)
        if "ffn_gate_inp.bias" in self.layer:
            logits = self.g.over(logits)
        return logits

    def _choose(self, scores: Tensor, *, biased: bool) -> Tensor:
        """Numbers of the best experts for each token."""
        g, h = self.g, self.h
        number, n = scores.ne
        if biased and ("exp_probs_b.bias" in self.layer or "exp_probs_b" in self.layer):
            scores = g.over(scores)
        groups = h.number("expert_group_count", 0)
        if groups > 1:
            scores = self._best_groups(scores, groups, h.number("expert_group_used_count", 1))
        order = g.new((number, n), scores, type_bytes=I32)
        return g.view(order, (h.experts_used[self.index], n))

    def _best_groups(self, scores: Tensor, groups: int, used: int) -> Tensor:
        """Scores with the experts of all but the best groups masked out."""
        g = self.g
        number, n = scores.ne
        per = number // groups
        grouped = g.view(scores, (per, groups, n))
        best = g.view(g.new((per, groups, n), grouped, type_bytes=I32), (2, groups, n))
        two = g.new((1, 2, groups, n), g.view(grouped, (1, per, groups, n)), best)
        sums = g.new((1, groups, n), g.view(two, (2, groups, n)))
        top = g.view(g.new((groups, n), g.view(sums, (groups, n)), type_bytes=I32), (used, n))
        kept = g.new((per, used, n), grouped, top)
        return g.view(g.view(g.over(grouped), None, kept, top), (number, n))

    def _project(self, x: Tensor, name: str, selected: Tensor, used: int) -> Tensor:
        """One projection of the chosen experts."""
        g, layer, n = self.g, self.layer, x.ne[2]
        shape = (layer[f"{name}.weight"][1], used, n)
        y = g.new(shape, x, selected)
        y.brings = name
        if f"{name}.scale" in layer:
            y = g.over(y)
        if f"{name}.bias" in layer:
            y = g.over(y, selected)
        return y

    def _through_experts(self, x: Tensor, selected: Tensor, used: int) -> Tensor:
        """Up, gate where there is one, and down."""
        g, n = self.g, x.ne[2]
        if "ffn_gate_up_exps.weight" in self.layer:
            both = self._project(x, "ffn_gate_up_exps", selected, used)
            half = (both.ne[0] // 2, used, n)
            active = g.new(half, g.view(both, half), g.view(both, half))
        else:
            up = self._project(x, "ffn_up_exps", selected, used)
            if "ffn_gate_exps.weight" in self.layer:
                gate = self._project(x, "ffn_gate_exps", selected, used)
                active = g.new(gate.ne, gate, up)
            else:
                active = g.over(up)
        return self._project(active, "ffn_down_exps", selected, used)

    def _sum_of_experts(self, out: Tensor, used: int) -> Tensor:
        g, shape = self.g, (out.ne[0], out.ne[2])
        parts = [g.view(out, shape) for _ in range(used)]
        for part in parts:
            g.expand(part)
        total = parts[0]
        for part in parts[1:]:
            total = g.over(total, part)
            g.expand(total)
        return self.cont(total) if used == 1 else total
