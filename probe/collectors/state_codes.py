"""Codes of device states: `Accelerator.state_reason` and `Attempt.code`.

Each has its sentence and its fix in messages topic `states`. Here stands which
state a code means and which NVML error leads to which code.
"""

from typing import Final

from probe.collectors import nvml_session as nvml
from probe.machine.accelerator import AcceleratorState

STATES: Final[dict[str, AcceleratorState]] = {
    "no_driver": AcceleratorState.NO_DRIVER,
    "nouveau": AcceleratorState.NO_DRIVER,
    "module_not_loaded": AcceleratorState.NO_DRIVER,
    "no_permission": AcceleratorState.BLOCKED,
    "blocked_by_system": AcceleratorState.BLOCKED,
    "wsl_access_blocked": AcceleratorState.BLOCKED,
    "container_without_gpu": AcceleratorState.BLOCKED,
    "hidden_by_mask": AcceleratorState.BLOCKED,
    "compute_mode_prohibited": AcceleratorState.BLOCKED,
    "mig_without_slices": AcceleratorState.BLOCKED,
    "given_to_virtual_machine": AcceleratorState.BLOCKED,
    "in_use": AcceleratorState.BLOCKED,
    "driver_mismatch": AcceleratorState.UNUSABLE,
    "no_render_access": AcceleratorState.BLOCKED,
    "device_node_missing": AcceleratorState.BLOCKED,
    "intel_mac_gpu": AcceleratorState.BLOCKED,
    "old_kernel_driver": AcceleratorState.NO_DRIVER,
    "device_disabled": AcceleratorState.BLOCKED,
    "device_stopped": AcceleratorState.UNUSABLE,
    "gpu_lost": AcceleratorState.UNUSABLE,
    "reset_required": AcceleratorState.UNUSABLE,
    "insufficient_power": AcceleratorState.UNUSABLE,
    "irq_issue": AcceleratorState.UNUSABLE,
    "library_not_found": AcceleratorState.UNUSABLE,
    "library_broken": AcceleratorState.UNUSABLE,
    "binding_missing": AcceleratorState.UNUSABLE,
    "driver_too_old": AcceleratorState.UNUSABLE,
    "driver_unknown_error": AcceleratorState.UNUSABLE,
    "nvml_error": AcceleratorState.UNUSABLE,
    "nvml_timeout": AcceleratorState.UNUSABLE,
    "gpu_not_started": AcceleratorState.UNUSABLE,
    "fabric_manager_missing": AcceleratorState.UNUSABLE,
    "cuda_stub_library": AcceleratorState.UNUSABLE,
    "cuda_compat_unsupported": AcceleratorState.UNUSABLE,
    "cuda_out_of_memory": AcceleratorState.BLOCKED,
    "cuda_no_device": AcceleratorState.BLOCKED,
    "cuda_init_failed": AcceleratorState.UNUSABLE,
}

INIT_STATES: Final[dict[int, str]] = {
    nvml.NO_PERMISSION: "no_permission",
    nvml.INSUFFICIENT_POWER: "insufficient_power",
    nvml.DRIVER_NOT_LOADED: "module_not_loaded",
    nvml.TIMEOUT: "nvml_timeout",
    nvml.IRQ_ISSUE: "irq_issue",
    nvml.LIBRARY_NOT_FOUND: "library_not_found",
    nvml.FUNCTION_NOT_FOUND: "driver_too_old",
    nvml.GPU_IS_LOST: "gpu_lost",
    nvml.RESET_REQUIRED: "reset_required",
    nvml.OPERATING_SYSTEM: "blocked_by_system",
    nvml.LIB_RM_VERSION_MISMATCH: "driver_mismatch",
    nvml.IN_USE: "in_use",
    nvml.UNKNOWN: "driver_unknown_error",
}

# nvmlDeviceGetHandleByIndex: the device is counted, its handle refused.
HANDLE_STATES: Final[dict[int, str]] = {**INIT_STATES, nvml.NOT_FOUND: "gpu_lost"}

# Any getter: worse for the device than the missing figure. Worst first.
DEVICE_STATES: Final[dict[int, str]] = {
    nvml.GPU_IS_LOST: "gpu_lost",
    nvml.RESET_REQUIRED: "reset_required",
    nvml.INSUFFICIENT_POWER: "insufficient_power",
    nvml.IRQ_ISSUE: "irq_issue",
}
