"""A device as the speed model sees it."""

import msgspec

from probe.machine.accelerator import ComputeRates
from probe.machine.ranges import Range


class SpeedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device that computes a part of the model.

    `active_weight_bytes`: weights on it that one token reads; `kv_bytes`: cache on it
    that one token reads at the asked depth; `layers`: repeating layers on it.
    """

    device: str  # cpu or gpu<index>
    vendor: str  # nvidia amd intel apple ...
    backend: str  # cuda rocm vulkan metal sycl cpu
    name: str | None = None
    architecture: str | None = None
    compute_capability: str | None = None
    bandwidth: Range | None = None
    compute: ComputeRates | None = None
    usable_cores: int | None = None  # cpu only
    isa: tuple[str, ...] = ()  # cpu only
    unified: bool = False
    laptop: bool | None = None
    active_weight_bytes: int = 0
    kv_bytes: int = 0
    layers: int = 0
    link_bytes_per_s: float | None = None  # to the previous device of the chain, one way
