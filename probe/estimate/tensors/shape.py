"""What one tensor of a model is: its name, its shape and its part in the model."""

import enum
import math
from typing import NamedTuple

import msgspec


class Role(enum.Enum):
    """What a tensor is for: decides where it lies, and whether a generated token reads it."""

    TOKEN_EMBD = "token_embd"  # noqa: S105  # a table of tokens, no password
    POSITION_EMBD = "position_embd"
    PER_LAYER_EMBD = "per_layer_embd"  # the big table of Gemma 3n and 4, kept in host RAM
    OUTPUT = "output"
    NORM = "norm"
    ATTN = "attn"
    INDEXER = "indexer"  # sparse-attention indexer and cache compressor
    SSM = "ssm"  # Mamba, linear attention, short convolution, RWKV time mixing
    FFN = "ffn"
    ROUTER = "router"
    EXPERT = "expert"
    SHARED_EXPERT = "shared_expert"
    ROPE = "rope"
    OTHER = "other"


class TensorPart(NamedTuple):
    """One tensor without its layer number, so that equal layers share one tuple of parts."""

    name: str  # after `blk.N.`; the full name outside the layers
    shape: tuple[int, ...]  # as GGUF writes it: the contiguous dimension first
    role: Role

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


class TensorShape(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tensor as a GGUF of this model holds it.

    `layer` counts from 0 and is None outside the layers; a layer index at or above
    the model's own number of layers belongs to a multi-token-prediction block, which
    llama.cpp keeps in the file and does not load by default (`mtp` is then true).
    """

    name: str
    shape: tuple[int, ...]
    layer: int | None
    role: Role
    mtp: bool = False

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


Parts = tuple[TensorPart, ...]


def weight(name: str, *shape: int, role: Role) -> TensorPart:
    """A weight matrix or stack of matrices."""
    return TensorPart(f"{name}.weight", shape, role)


def bias(name: str, size: int, role: Role) -> TensorPart:
    """A bias vector."""
    return TensorPart(f"{name}.bias", (size,), role)


def norm(name: str, *shape: int, biased: bool = False) -> Parts:
    """A normalisation's scale, with its shift where the model has one."""
    scale = TensorPart(f"{name}.weight", shape, Role.NORM)
    if not biased:
        return (scale,)
    return (scale, TensorPart(f"{name}.bias", shape, Role.NORM))
