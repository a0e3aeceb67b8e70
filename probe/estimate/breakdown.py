"""Memory of one placement in the engine's own categories, per device. Totals are sums."""

import msgspec

from probe.machine.ranges import ByteRange


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What one device holds. `device` is `cpu` or `gpu<index>`; sizes in bytes."""

    device: str
    weights_bytes: int = 0
    kv_cache_bytes: int | None = 0  # None: the cache layout of this model is not known
    recurrent_state_bytes: int | None = 0
    compute_bytes: int | None = 0  # compute, output and host buffers
    repack_bytes: ByteRange = ByteRange()
    runtime_bytes: int = 0
    available_bytes: int | None = None  # capacity after all reserves
    free_bytes: int | None = None  # at this moment

    @property
    def total_bytes(self) -> int | None:
        """Sum of the parts (middle figures); None when a part is not known."""
        kv, state, compute = self.kv_cache_bytes, self.recurrent_state_bytes, self.compute_bytes
        if kv is None or state is None or compute is None:
            return None
        return self.weights_bytes + kv + state + compute + self.repack_bytes.value + self.runtime_bytes


class MemoryBreakdown(msgspec.Struct, frozen=True, kw_only=True):
    """All devices of one placement."""

    per_device: tuple[DeviceMemory, ...]

    @property
    def total_bytes(self) -> int | None:
        """Sum over the devices; None when a part is not known."""
        totals = [device.total_bytes for device in self.per_device]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None
