"""What an engine finds on a machine: GPUs with what a process can have of each, and RAM."""

import msgspec


class EngineGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU. `listed_bytes` is what the driver's tool prints, `total_bytes` what a process may take.

    `in_ram`: its memory is the machine's RAM; `keep_bytes` (`--reserve`) is already taken off.
    """

    device: str
    vendor: str
    backend: str
    capability: tuple[int, int] | None = None  # of NVIDIA
    listed_bytes: int
    total_bytes: int
    free_bytes: int | None = None
    in_ram: bool = False


class EngineDevices(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs with most memory first; `ram_bytes` after the system's reserve, None where not known."""

    gpus: tuple[EngineGpu, ...] = ()
    ram_bytes: int | None = None
    ram_free_bytes: int | None = None

    @property
    def nvidia(self) -> tuple[EngineGpu, ...]:
        """The GPUs that CUDA programs run on."""
        return tuple(gpu for gpu in self.gpus if gpu.capability is not None)
