"""Memory of one GPU while a model is fine-tuned: weights, gradients, optimizer, activations.

Sources: ZeRO, Rajbhandari et al. 2020 (arXiv 1910.02054, section 3: 16 bytes a parameter, and
its division in stages 1 to 3); QLoRA, Dettmers et al. 2023 (arXiv 2305.14314, section 3);
activations in training_activations.py. Checked against PyTorch to the byte for parameters,
gradients and states by scripts/check_training_memory.py.
"""

import enum
from collections.abc import Iterator
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.training import TrainingConstants, training_constants
from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, UNKNOWN_SHAPES, NotModeledError
from probe.estimate.tensors import ModelLayout, Role, TensorPart
from probe.estimate.tensors.checkpoint_layout import checkpoint_layout
from probe.estimate.training_activations import (
    ALL_LINEAR,
    Kept,
    is_target,
    layer_bytes,
    outside_bytes,
)
from probe.estimate.weights import checkpoint_weights
from probe.machine.ranges import ByteRange

_QUANTIZED: Final = frozenset({Role.ATTN, Role.FFN, Role.EXPERT, Role.SHARED_EXPERT, Role.SSM, Role.INDEXER})
_DESCRIPTION_BYTES: Final = 32  # of each 4-bit matrix in the file; in memory it is no tensor


class Method(enum.Enum):
    """What is trained: every weight, or adapters beside frozen weights in 16 or 4 bits."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class Optimizer(enum.Enum):
    """Optimizers, as trainers name them."""

    ADAMW = "adamw"
    ADAMW_8BIT = "adamw-8bit"
    PAGED_ADAMW_8BIT = "paged-adamw-8bit"
    ADAFACTOR = "adafactor"
    LION = "lion"
    SGD = "sgd"


class Precision(enum.Enum):
    """`mixed`: fp32 weights under 16-bit autocast, with ZeRO 16-bit weights and an fp32 copy among
    the optimizer states. `bf16`: everything in 16 bits. Adapters are always trained in fp32, as PEFT does.
    """

    MIXED = "mixed"
    BF16 = "bf16"


class TrainingSetup(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is fine-tuned. `batch` is of one GPU and one step; accumulation adds nothing."""

    method: Method = Method.LORA
    optimizer: Optimizer = Optimizer.ADAMW
    precision: Precision = Precision.MIXED
    batch: int = 1
    sequence: int = 2048
    rank: int = 16
    targets: tuple[str, ...] = (ALL_LINEAR,)
    gpus: int = 1
    zero: int = 0
    checkpointing: bool = True
    offload: bool = False
    flash_attention: bool = True

    @property
    def autocast(self) -> bool:
        """fp32 weights with 16-bit copies: PyTorch's own mixed precision."""
        return self.method is Method.FULL and self.precision is Precision.MIXED and self.zero == 0


class TrainingMemory(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU's share, and what lies in RAM with `offload`. Middle figures are the expected peak.

    `activations` is what the forward pass leaves; `compute` is what the worst moment after it
    adds: logits and loss, or one recomputed layer, and gathered or cast weights.
    """

    parameters: int
    trainable: int
    weights: ByteRange
    gradients: ByteRange
    optimizer: ByteRange
    activations: ByteRange
    compute: ByteRange
    runtime: ByteRange
    host_bytes: int = 0
    exact: bool = True

    @property
    def total(self) -> ByteRange:
        """Sum of the parts, each at its end."""
        parts = (
            self.weights, self.gradients, self.optimizer, self.activations, self.compute, self.runtime,
        )  # fmt: skip
        return ByteRange(
            low=sum(part.low for part in parts),
            value=sum(part.value for part in parts),
            high=sum(part.high for part in parts),
        )


class _Tensor(msgspec.Struct, frozen=True):
    """A trained tensor as its optimizer sees it; `count` equal ones."""

    rows: int
    columns: int
    count: int = 1
    embedding: bool = False

    @property
    def elements(self) -> int:
        return self.rows * self.columns


def training_memory(spec: ModelSpec, setup: TrainingSetup) -> TrainingMemory:
    """Peak memory of one of `setup.gpus` equal GPUs.

    Multi-token-prediction layers are not loaded by trainers; towers for images count as
    frozen 16-bit weights.

    Raises:
        NotModeledError: the model's tensors are not known one by one.
    """
    layout = checkpoint_layout(spec)
    if layout is None:
        raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=spec.architecture or spec.model_type)
    if not all(part.elements for parts in (*layout.templates, layout.outside) for part in parts):
        # A header that leaves sizes out gives tensors of no elements.
        raise NotModeledError(UNKNOWN_SHAPES, architecture=spec.architecture or spec.model_type)
    rules = training_constants()
    trained = tuple(_trained(layout, setup))
    trainable = sum(tensor.elements * tensor.count for tensor in trained)
    weights, wide = _weight_bytes(spec, layout, setup)
    if setup.method is not Method.FULL:
        weights, wide = weights + 4 * trainable, wide + 4 * trainable
    each = _parameter_bytes(setup)
    gradients = each * trainable
    states = sum(tensor.count * _state_bytes(tensor, setup, rules) for tensor in trained)
    if setup.method is Method.FULL and setup.precision is Precision.MIXED and setup.zero:
        states += 4 * trainable  # the fp32 copy
    n = setup.gpus
    states = _share(states, n if setup.zero >= 1 else 1)
    gradients = _share(gradients, n if setup.zero >= 2 else 1)
    split = n if setup.zero >= 3 else 1
    weights, wide = _share(weights, split), _share(wide, split)
    host = 0
    if setup.offload:
        host = n * (states + gradients)
        states = gradients = 0
        if setup.zero >= 3:
            host += n * weights
            weights = wide = 0
    activations, compute, exact = _moving(layout, setup, rules, trainable)
    paged = setup.optimizer is Optimizer.PAGED_ADAMW_8BIT
    return TrainingMemory(
        parameters=_parameters(layout),
        trainable=trainable,
        weights=ByteRange(low=weights, value=weights, high=wide),
        gradients=ByteRange(
            low=gradients,
            value=gradients,
            # Data-parallel buckets are a second copy unless gradients are views into them.
            high=gradients * (2 if n > 1 and setup.zero == 0 else 1),
        ),
        optimizer=ByteRange(low=0 if paged else states, value=states, high=states),
        activations=activations,
        compute=compute,
        runtime=_runtime(rules, activations, compute, gradients),
        host_bytes=host,
        exact=exact,
    )


def _share(size: int, devices: int) -> int:
    return -(-size // devices)


def _parameters(layout: ModelLayout) -> int:
    inside = sum(_count(layout.templates[index]) for index in layout.layers)
    return inside + _count(layout.outside)


def _count(parts: tuple[TensorPart, ...]) -> int:
    return sum(part.elements for part in parts if part.role is not Role.ROPE)


def _weight_bytes(spec: ModelSpec, layout: ModelLayout, setup: TrainingSetup) -> tuple[int, int]:
    """Bytes of the loaded weights, expected and at most."""
    if setup.method is Method.QLORA:
        found = checkpoint_weights(spec, "bnb-nf4-double")
        described = _DESCRIPTION_BYTES * _quantized_matrices(layout)
        # prepare_model_for_kbit_training of PEFT turns what is not quantized to fp32.
        outside = found.token_embedding_bytes + found.output_bytes
        size = found.loaded_bytes + found.vision_bytes - described
        return size, size + outside + checkpoint_weights(spec, "bnb-nf4").loaded_bytes - found.loaded_bytes
    found = checkpoint_weights(spec, "bf16")
    text = found.loaded_bytes * (2 if setup.autocast else 1)
    return text + found.vision_bytes, text + found.vision_bytes


def _quantized_matrices(layout: ModelLayout) -> int:
    parts = (part for index in layout.layers for part in layout.templates[index])
    return sum(
        part.shape[2] if len(part.shape) > 2 else 1
        for part in parts
        if part.role in _QUANTIZED and len(part.shape) > 1
    )


def _parameter_bytes(setup: TrainingSetup) -> int:
    """Bytes of one gradient, as of one trained weight."""
    return 4 if setup.method is not Method.FULL or setup.autocast else 2


def _trained(layout: ModelLayout, setup: TrainingSetup) -> Iterator[_Tensor]:
    groups = [(layout.templates[index], layout.layers.count(index)) for index in sorted(set(layout.layers))]
    if setup.method is Method.FULL:
        groups.append((layout.outside, 1))
    for parts, times in groups:
        for part in parts:
            if part.role is Role.ROPE:
                continue
            stack = part.shape[2] if len(part.shape) > 2 else 1
            columns = part.shape[0]
            rows = part.elements // columns // stack
            if setup.method is Method.FULL:
                # A stack of experts is one parameter to the optimizer.
                yield _Tensor(rows * stack, columns, times, part.role is Role.TOKEN_EMBD)
            elif is_target(part, setup.targets):
                yield _Tensor(setup.rank, columns, times * stack)
                yield _Tensor(rows, setup.rank, times * stack)


def _state_bytes(tensor: _Tensor, setup: TrainingSetup, rules: TrainingConstants) -> int:
    """States of one tensor; AdamW's step counters, four bytes a tensor on the host, are not counted."""
    elements, optimizer = tensor.elements, setup.optimizer
    if optimizer is Optimizer.SGD:
        return 0
    if optimizer is Optimizer.ADAFACTOR:
        # transformers optimization.py Adafactor: one row and one column in fp32, vectors whole.
        return 4 * (elements if 1 in (tensor.rows, tensor.columns) else tensor.rows + tensor.columns)
    if optimizer is Optimizer.LION:
        return 4 * elements  # bitsandbytes keeps 32-bit states in fp32
    if optimizer is Optimizer.ADAMW:
        # With ZeRO's mixed precision the states follow the fp32 copy.
        pure = setup.method is Method.FULL and setup.precision is Precision.BF16
        return (4 if pure else 8) * elements
    if tensor.embedding or elements < rules.eight_bit.smallest_tensor:
        return 8 * elements
    return 2 * elements + 8 * -(-elements // rules.eight_bit.block)


def _kept(setup: TrainingSetup) -> Kept:
    return Kept(
        trains_all=setup.method is Method.FULL,
        residual=4 if setup.autocast else 2,
        cast_copies=setup.autocast,
        targets=setup.targets,
        rank=setup.rank,
        flash_attention=setup.flash_attention,
        sequence=setup.sequence,
    )


def saved_activation_bytes(layout: ModelLayout, setup: TrainingSetup) -> int:
    """What the forward pass leaves for the backward pass before the loss: all layers, or their inputs."""
    kept, tokens = _kept(setup), setup.batch * setup.sequence
    d = layout.dimensions
    if setup.checkpointing:
        inside = len(layout.layers) * kept.residual * d.hidden_size
    else:
        per_template = [layer_bytes(layout, parts, kept).saved for parts in layout.templates]
        inside = sum(per_template[index] for index in layout.layers)
    return tokens * (inside + outside_bytes(layout, kept))


def _moving(
    layout: ModelLayout, setup: TrainingSetup, rules: TrainingConstants, trainable: int
) -> tuple[ByteRange, ByteRange, bool]:
    """Activations, what the worst moment adds, and whether every layer was followed op by op."""
    kept, tokens = _kept(setup), setup.batch * setup.sequence
    per_layer = [layer_bytes(layout, parts, kept) for parts in layout.templates]
    exact = all(layer.exact for layer in per_layer)
    saved = saved_activation_bytes(layout, setup)
    low, high = (
        (1.0, 1.0) if exact or setup.checkpointing else (rules.coarse.low_share, rules.coarse.high_share)
    )
    recomputed = tokens * max(
        layer.in_flight + (layer.saved if setup.checkpointing else 0) for layer in per_layer
    )
    wide = 1.0 if exact else rules.coarse.high_share
    entries = tokens * layout.dimensions.vocab_size
    more, at_most = _working_copies(layout, setup, rules, trainable)
    compute = ByteRange(
        low=max(
            entries * rules.loss.low_bytes, round(recomputed * (1.0 if exact else rules.coarse.low_share))
        ),
        value=max(entries * rules.loss.value_bytes, recomputed) + more,
        high=max(entries * rules.loss.high_bytes, round(recomputed * wide)) + at_most,
    )
    return ByteRange(low=round(saved * low), value=saved, high=round(saved * high)), compute, exact


def _working_copies(
    layout: ModelLayout, setup: TrainingSetup, rules: TrainingConstants, trainable: int
) -> tuple[int, int]:
    """Bytes of weights held a second time during a step: expected and at most."""
    total = _parameters(layout)
    largest = max(_count(parts) for parts in layout.templates)
    table = layout.dimensions.hidden_size * layout.dimensions.vocab_size
    bucket = 2 * min(rules.zero.bucket_elements, trainable)
    if setup.autocast:
        return 2 * total, 2 * total  # autocast's cache of 16-bit weights
    if setup.zero >= 3:
        value = 2 * min(total, max(2 * largest, table)) + bucket
        return value, max(value, 2 * min(total, rules.zero.live_elements) + 2 * bucket)
    if setup.zero or setup.offload:
        return bucket, 2 * bucket
    # Adapters are cast to 16 bits by autocast, which keeps the copies.
    adapters = 0 if setup.method is Method.FULL else 2 * trainable
    if setup.method is Method.QLORA:
        # One matrix at a time is turned back to 16 bits.
        matrix = max(part.elements for parts in layout.templates for part in parts)
        return adapters + 2 * matrix, adapters + 4 * matrix
    return adapters, adapters


def _runtime(
    rules: TrainingConstants, activations: ByteRange, compute: ByteRange, gradients: int
) -> ByteRange:
    """What PyTorch holds beside its tensors: context, workspaces, blocks it cannot reuse."""
    lost, base = rules.fragmentation, rules.runtime
    return ByteRange(
        low=base.low_bytes + round(lost.low_share * (activations.low + compute.low + gradients)),
        value=base.value_bytes + round(lost.value_share * (activations.value + compute.value + gradients)),
        high=base.high_bytes + round(lost.high_share * (activations.high + compute.high + gradients)),
    )
