"""What a quantized model weighs, split the way engines place and read it."""

import msgspec


class WeightBytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of one model in one quantization; every tuple has one entry a repeating layer.

    `layers` counts everything of a layer that the engine loads, experts included;
    `layer_experts` is the part of it that routed experts take (what `--n-cpu-moe`
    moves) and `layer_active` the part read for one token. MTP layers are in the
    file but in none of the other figures.
    """

    quantization: str
    file_bytes: int
    layers: tuple[int, ...]
    layer_experts: tuple[int, ...]
    layer_active: tuple[int, ...]
    token_embedding_bytes: int  # stays in host RAM in llama.cpp, also with all layers on a GPU
    per_layer_embedding_bytes: int = 0  # Gemma 3n and 4: likewise
    position_embedding_bytes: int = 0
    output_bytes: int = 0  # head and final norm; with a tied head: the norm alone
    output_is_tied: bool = False  # the head is the token embedding, loaded again beside it on a GPU
    mtp_bytes: int = 0
    vision_bytes: int = 0
    exact: bool = True  # computed from shapes or read from the file, not from a bits table

    @property
    def loaded_bytes(self) -> int:
        """All that llama.cpp maps or allocates once, on one device."""
        return (
            sum(self.layers)
            + self.token_embedding_bytes
            + self.per_layer_embedding_bytes
            + self.position_embedding_bytes
            + self.output_bytes
        )

    @property
    def active_bytes(self) -> int:
        """Read for one token: active layers and the head; of the input table one row, so nothing."""
        head = self.token_embedding_bytes if self.output_is_tied else 0
        return sum(self.layer_active) + self.output_bytes + head
