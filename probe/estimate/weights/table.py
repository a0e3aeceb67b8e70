"""WeightBytes of catalog models from the table that was computed from the same shapes."""

from functools import cache

from probe.catalog.buffer_table import DIGITS
from probe.catalog.weight_table import StoredWeights, stored_weights
from probe.estimate.weight_bytes import WeightBytes


@cache
def weights_from_table(model_id: str, quantization: str) -> WeightBytes | None:
    """The stored figures of a catalog model, None where the table has none."""
    row = stored_weights(quantization).get(model_id)
    return None if row is None else _unpacked(row, quantization)


def packed(weights: WeightBytes) -> StoredWeights:
    """The row the table keeps."""
    kinds: dict[tuple[int, int, int], int] = {}
    digits = []
    for kind in zip(weights.layers, weights.layer_experts, weights.layer_active, strict=True):
        digits.append(kinds.setdefault(kind, len(kinds)))
    if len(kinds) > 36:
        raise ValueError(f"{len(kinds)} kinds of layers: one digit is not enough")
    return StoredWeights(
        weights.file_bytes,
        weights.token_embedding_bytes,
        weights.per_layer_embedding_bytes,
        weights.position_embedding_bytes,
        weights.output_bytes,
        weights.output_is_tied,
        weights.mtp_bytes,
        tuple(kinds),
        "".join(DIGITS[digit] for digit in digits),
    )


def _unpacked(row: StoredWeights, quantization: str) -> WeightBytes:
    kinds = dict(zip(DIGITS, row.kinds, strict=False))
    layers, experts, active = zip(*map(kinds.__getitem__, row.layers), strict=True)
    return WeightBytes(
        quantization=quantization,
        file_bytes=row.file_bytes,
        layers=layers,
        layer_experts=experts,
        layer_active=active,
        token_embedding_bytes=row.token_embedding_bytes,
        per_layer_embedding_bytes=row.per_layer_embedding_bytes,
        position_embedding_bytes=row.position_embedding_bytes,
        output_bytes=row.output_bytes,
        output_is_tied=row.output_is_tied,
        mtp_bytes=row.mtp_bytes,
    )
