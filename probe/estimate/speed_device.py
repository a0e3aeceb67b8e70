"""A device as the speed model sees it."""

import msgspec

from probe.machine.accelerator import ComputeRates
from probe.machine.ranges import Range


class Shifts(msgspec.Struct, frozen=True, kw_only=True):
    """How this device differs from its class, in logarithms; zeros when nothing was measured on it."""

    efficiency: float = 0.0
    kernel: float = 0.0
    layer: float = 0.0
    experts: float = 0.0  # on top of `layer`; other engines only


class SpeedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device that computes a part of the model, or memory that a device reads over a link.

    `active_weight_bytes`: weights on it that one token reads; `kv_bytes`: cache on it
    that one token reads at the asked depth; `layers`: repeating layers on it.
    """

    device: str  # cpu, gpu<index>, c2c (CPU memory read by the GPU over NVLink-C2C), disk
    vendor: str  # nvidia amd intel apple ...
    backend: str  # cuda rocm vulkan metal sycl cpu disk
    name: str | None = None
    architecture: str | None = None
    compute_capability: str | None = None
    bandwidth: Range | None = None
    compute: ComputeRates | None = None
    usable_cores: int | None = None  # cpu only: logical cores that may be used
    physical_cores: int | None = None  # cpu only: two threads of one core do not decode faster than one
    logical_cores: int | None = (
        None  # cpu only: tells performance from efficiency cores where only some have two threads
    )
    isa: tuple[str, ...] = ()  # cpu only
    unified: bool = False
    laptop: bool | None = None
    active_weight_bytes: int = 0
    kv_bytes: int = 0
    layers: int = 0
    link_bytes_per_s: float | None = None  # to the previous device of the chain, one way
    shifts: Shifts = Shifts()
    prompt_factor: float = 1.0  # measured / estimated prompt speed on this very device
    measured: bool = False  # the shifts come from `probe bench` on this machine
    prompt_measured: bool = False


def without_model(device: SpeedDevice) -> SpeedDevice:
    """The device alone, nothing lying on it: equal for every model."""
    return msgspec.structs.replace(device, active_weight_bytes=0, kv_bytes=0, layers=0)
