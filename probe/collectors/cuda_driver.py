"""Proof by the CUDA driver itself that the cards compute: optional, in a child with a time limit.

NVML can be well while CUDA is not: the fabric manager of an NVSwitch server is
not running, the unified memory module is not loaded, a compatibility package
does not fit. It costs a process and some hundred milliseconds.
"""

from typing import Final

import msgspec

from probe.collectors.answers import PYTHON, Failure
from probe.collectors.facts import CudaProof, CudaProofDevice, Facts, Found, ask
from probe.collectors.host import Host
from probe.collectors.pci import normal_address
from probe.machine.attempt import Attempt, AttemptResult

SOURCE: Final = "cuda driver"
_LIMIT_S: Final = 4.0
# cuda.h, CUresult: what each start-up error means.
CUDA_ERRORS: Final = {
    2: ("CUDA_ERROR_OUT_OF_MEMORY", "cuda_out_of_memory"),
    3: ("CUDA_ERROR_NOT_INITIALIZED", "cuda_init_failed"),
    34: ("CUDA_ERROR_STUB_LIBRARY", "cuda_stub_library"),
    46: ("CUDA_ERROR_DEVICE_UNAVAILABLE", "in_use"),
    100: ("CUDA_ERROR_NO_DEVICE", "cuda_no_device"),
    101: ("CUDA_ERROR_INVALID_DEVICE", "cuda_init_failed"),
    800: ("CUDA_ERROR_NOT_PERMITTED", "no_permission"),
    802: ("CUDA_ERROR_SYSTEM_NOT_READY", "fabric_manager_missing"),
    803: ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "driver_mismatch"),
    804: ("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "cuda_compat_unsupported"),
    999: ("CUDA_ERROR_UNKNOWN", "cuda_init_failed"),
}


class _Device(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None = None
    total_bytes: int | None = None
    free_bytes: int | None = None
    integrated: int | None = None
    pci_bus: int | None = None
    pci_device: int | None = None
    pci_domain: int | None = None
    major: int | None = None
    minor: int | None = None
    pageable_memory_access: int | None = None
    concurrent_managed_access: int | None = None
    error: tuple[str, int | None] | None = None


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    version: int | None = None
    devices: list[_Device] = []
    error: tuple[str, int | None] | None = None


def collect(host: Host) -> Facts:
    """cuInit, the devices CUDA counts, and a context on each with the memory then free."""
    program = (PYTHON, "-m", "probe.collectors.cuda_child", "context")
    output, attempt = ask(host, SOURCE, lambda: host.run(program, timeout_s=_LIMIT_S))
    if isinstance(output, Failure):
        hung = output.result is AttemptResult.TIMEOUT
        yield msgspec.structs.replace(attempt, code="cuda_init_failed" if hung else None)
        return
    proof = parse_answer(output.stdout)
    if proof is None:
        # The child died: a driver that crashes is as useless as one that refuses.
        yield Attempt(
            source=SOURCE,
            result=AttemptResult.FAILED,
            ms=attempt.ms,
            detail=f"the CUDA driver ended the program with code {output.exit_code}",
            code="cuda_init_failed",
        )
        return
    result = AttemptResult.OK
    if proof.error_code:
        result = AttemptResult.ABSENT if proof.error_code == "library_not_found" else AttemptResult.FAILED
    yield Attempt(
        source=SOURCE, result=result, ms=attempt.ms, detail=proof.error_detail, code=proof.error_code
    )
    yield Found(proof, SOURCE)


def parse_answer(text: str) -> CudaProof | None:
    """The child's line as a proof; None when it is no answer."""
    lines = text.strip().splitlines()
    try:
        answer = msgspec.json.decode(lines[-1] if lines else "", type=_Answer)
    except msgspec.MsgspecError:
        return None
    code, detail = _error(answer.error)
    return CudaProof(
        error_code=code,
        error_detail=detail,
        cuda_version=answer.version,
        devices=tuple(_proof_device(device) for device in answer.devices),
    )


def _proof_device(device: _Device) -> CudaProofDevice:
    address = None
    if device.pci_bus is not None and device.pci_device is not None:
        address = normal_address(
            f"{device.pci_domain or 0:04x}:{device.pci_bus:02x}:{device.pci_device:02x}.0"
        )
    return CudaProofDevice(
        name=device.name,
        pci_address=address,
        total_bytes=device.total_bytes,
        free_bytes=device.free_bytes,
        integrated=None if device.integrated is None else bool(device.integrated),
        compute_capability=None if device.major is None else f"{device.major}.{device.minor}",
        error_code=_error(device.error)[0],
    )


def _error(error: tuple[str, int | None] | None) -> tuple[str | None, str | None]:
    if error is None:
        return None, None
    step, number = error
    if number is None:
        return "library_not_found", "the CUDA driver library was not found"
    name, code = CUDA_ERRORS.get(number, ("CUDA error", "cuda_init_failed"))
    return code, f"{step}: {name} ({number})"
