"""NVIDIA GPUs through NVIDIA's management library: the scan over all devices.

Each device is handed over twice, first with its name and address alone, so
that a driver that hangs in the middle costs figures but no card.
"""

from collections.abc import Sequence

from probe.collectors import nvml_session as codes
from probe.collectors.answers import Failure
from probe.collectors.facts import CudaIdentity, Facts, Found, ask
from probe.collectors.host import Host
from probe.collectors.nvml_device import DeviceReader, identify, read_device
from probe.collectors.nvml_links import read_links
from probe.collectors.nvml_session import NvmlDevice, NvmlError, NvmlSession
from probe.collectors.state_codes import HANDLE_STATES, INIT_STATES, STATES
from probe.machine.accelerator import Accelerator, AcceleratorKind
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import NvidiaDriver

SOURCE = "nvml"
_MOST_DEVICES = 64


def collect(host: Host) -> Facts:
    """Driver versions, every device that has an index, and the links between them."""
    if host.platform().system == "macos":
        return  # no driver exists there
    session, attempt = ask(host, SOURCE, host.nvml)
    if isinstance(session, Failure):
        yield attempt
        return
    try:
        yield from _scan(host, session, attempt)
    finally:
        session.close()


def _scan(host: Host, session: NvmlSession, attempt: Attempt) -> Facts:
    driver = session.ask("nvmlSystemGetDriverVersion")
    yield Found(
        NvidiaDriver(
            driver_version=driver if isinstance(driver, str) else None,
            cuda_driver_version=read_cuda_driver_version(session),
        ),
        SOURCE,
    )
    count = session.ask("nvmlDeviceGetCount")
    if not isinstance(count, int):
        error = count if isinstance(count, NvmlError) else NvmlError(codes.BINDING, "count is no number")
        yield Attempt(
            source=SOURCE,
            result=AttemptResult.FAILED,
            ms=attempt.ms,
            detail=f"nvmlDeviceGetCount: {error.name}",
            code=INIT_STATES.get(error.code, "nvml_error"),
        )
        return
    yield Attempt(
        source=SOURCE,
        result=AttemptResult.OK,
        ms=attempt.ms,
        detail=f"{session.library}, driver {driver}" if isinstance(driver, str) else session.library,
        code=None if count else "driver_without_card",
    )
    devices: list[tuple[NvmlDevice, Accelerator]] = []
    for index in range(min(count, _MOST_DEVICES)):
        handle = session.device(index)
        if isinstance(handle, NvmlError):
            yield from _refused(index, handle)
            continue
        yield from _read(host, session, handle, index, devices)
    yield from (Found(link, SOURCE) for link in read_links(session, devices))


def _read(
    host: Host,
    session: NvmlSession,
    handle: NvmlDevice,
    index: int,
    devices: list[tuple[NvmlDevice, Accelerator]],
) -> Facts:
    started = host.clock_s()
    reader = DeviceReader(session, handle)
    first = identify(reader, index)
    yield Found(first, SOURCE)
    device = read_device(host, reader, first)
    yield Found(device, SOURCE)
    devices.append((handle, device))
    yield Found(read_cuda_identity(reader, index, device), SOURCE)
    yield Attempt(
        source=f"{SOURCE}: device {index}",
        result=AttemptResult.OK if device.state_reason is None else AttemptResult.FAILED,
        ms=round((host.clock_s() - started) * 1000, 2),
        detail=reader.told_errors(),
        code=device.state_reason,
    )


def _refused(index: int, error: NvmlError) -> Facts:
    """A device that is counted but gives no handle: still a card, with the reason."""
    code = HANDLE_STATES.get(error.code, "nvml_error")
    denied = error.code in (codes.NO_PERMISSION, codes.OPERATING_SYSTEM)
    yield Attempt(
        source=f"{SOURCE}: device {index}",
        result=AttemptResult.DENIED if denied else AttemptResult.FAILED,
        ms=0.0,
        detail=f"nvmlDeviceGetHandleByIndex: {error.name}",
        code=code,
    )
    yield Found(
        Accelerator(
            index=index,
            kind=AcceleratorKind.DISCRETE,
            vendor="nvidia",
            name="NVIDIA GPU",
            state=STATES[code],
            state_reason=code,
        ),
        SOURCE,
    )


def read_cuda_driver_version(session: NvmlSession) -> str | None:
    """Highest CUDA version the driver supports, `13.0`; not an installed toolkit.

    The second form reads libcuda itself; where the compute libraries are
    missing it fails and nothing is known (the first form would answer with a
    version that was known when the library was built).
    """
    value = session.ask("nvmlSystemGetCudaDriverVersion_v2")
    if isinstance(value, NvmlError) and value.code in (codes.FUNCTION_NOT_FOUND, codes.BINDING):
        value = session.ask("nvmlSystemGetCudaDriverVersion")
    return cuda_version_text(value) if isinstance(value, int) else None


def cuda_version_text(value: int) -> str | None:
    """`12.8` for 12080; None for zero."""
    return f"{value // 1000}.{value % 1000 // 10}" if value > 0 else None


def read_cuda_identity(reader: DeviceReader, index: int, device: Accelerator) -> CudaIdentity:
    """UUIDs of the device and its slices, and the product by which CUDA puts the fastest first."""
    cores = reader.number("nvmlDeviceGetNumGpuCores")
    clock = reader.number("nvmlDeviceGetMaxClockInfo", 1)  # NVML_CLOCK_SM
    slices: Sequence[str | None] = [
        DeviceReader(reader.session, handle).text("nvmlDeviceGetUUID")
        for place in device.mig_slices
        if isinstance(handle := reader.session.mig_device(reader.device, place.index), NvmlDevice)
    ]
    return CudaIdentity(
        index=index,
        uuid=device.uuid,
        slice_uuids=tuple(uuid for uuid in slices if uuid),
        speed=float(cores * clock) if cores and clock else None,
    )
