"""Cards as NVML describes them, for the fake library. Figures as in published logs of such cards."""

from typing import Any

from tests.fakes.nvml_library import ByArgument, Error, Rows

MIB = 1024**2

RTX_4090: dict[str, Any] = {
    "nvmlDeviceGetName": "NVIDIA GeForce RTX 4090",
    "nvmlDeviceGetUUID": "GPU-11111111-2222-3333-4444-555555555555",
    "nvmlDeviceGetPciInfo_v3": {
        "busId": b"00000000:01:00.0",
        "busIdLegacy": b"0000:01:00.0",
        "pciDeviceId": 0x268410DE,
    },
    "nvmlDeviceGetArchitecture": 8,
    "nvmlDeviceGetCudaComputeCapability": (8, 9),
    "nvmlDeviceGetMemoryInfo_v2": {
        "total": 24564 * MIB,
        "reserved": 452 * MIB,
        "free": 23800 * MIB,
        "used": 312 * MIB,
    },
    "nvmlDeviceGetMemoryInfo": {"total": 24564 * MIB, "free": 23800 * MIB, "used": 764 * MIB},
    "nvmlDeviceGetMemoryBusWidth": 384,
    "nvmlDeviceGetMaxClockInfo": ByArgument({1: 3105, 2: 10501}),
    "nvmlDeviceGetNumGpuCores": 16384,
    "nvmlDeviceGetCurrPcieLinkGeneration": 1,
    "nvmlDeviceGetCurrPcieLinkWidth": 16,
    "nvmlDeviceGetMaxPcieLinkGeneration": 4,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
    "nvmlDeviceGetGpuMaxPcieLinkGeneration": 4,
    "nvmlDeviceGetVirtualizationMode": 0,
    "nvmlDeviceGetComputeMode": 0,
    "nvmlDeviceGetPersistenceMode": 0,
    "nvmlDeviceGetPowerManagementLimit": 450000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 450000,
    "nvmlDeviceGetPowerManagementLimitConstraints": (10000, 600000),
    "nvmlDeviceGetBAR1MemoryInfo": {"bar1Total": 32768 * MIB, "bar1Free": 32000 * MIB, "bar1Used": 768 * MIB},
    "nvmlDeviceGetCurrentClocksEventReasons": 0x1,
    "nvmlDeviceGetComputeRunningProcesses_v3": Rows([]),
    "nvmlDeviceGetGraphicsRunningProcesses_v3": Rows([{"pid": 1, "usedGpuMemory": 300 * MIB}]),
    "nvmlDeviceGetNvLinkState": ByArgument({}),
}


def at(card: dict[str, Any], bus: int, **changes: Any) -> dict[str, Any]:
    """The same card in another slot, with its own UUID."""
    return {
        **card,
        "nvmlDeviceGetPciInfo_v3": {
            **card["nvmlDeviceGetPciInfo_v3"],
            "busId": f"00000000:{bus:02X}:00.0".encode(),
        },
        "nvmlDeviceGetUUID": f"GPU-{bus:08x}-2222-3333-4444-555555555555",
        **changes,
    }


P100: dict[str, Any] = {
    **RTX_4090,
    "nvmlDeviceGetName": "Tesla P100-PCIE-12GB",
    "nvmlDeviceGetPciInfo_v3": {"busId": b"00000000:04:00.0", "pciDeviceId": 0x15F710DE},
    "nvmlDeviceGetArchitecture": 4,
    "nvmlDeviceGetCudaComputeCapability": (6, 0),
    "nvmlDeviceGetMemoryInfo_v2": {
        "total": 12288 * MIB,
        "reserved": 87 * MIB,
        "free": 12198 * MIB,
        "used": 3 * MIB,
    },
    "nvmlDeviceGetMemoryBusWidth": 3072,
    "nvmlDeviceGetMaxClockInfo": ByArgument({1: 1328, 2: 715}),
    "nvmlDeviceGetNumGpuCores": 3584,
    "nvmlDeviceGetMaxPcieLinkGeneration": 3,
    "nvmlDeviceGetGpuMaxPcieLinkGeneration": 3,
    "nvmlDeviceGetEccMode": (1, 1),
    "nvmlDeviceGetPowerManagementLimit": 250000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 250000,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": Rows([]),
}

GB10: dict[str, Any] = {
    "nvmlDeviceGetName": "NVIDIA GB10",
    "nvmlDeviceGetUUID": "GPU-aaaaaaaa-2222-3333-4444-555555555555",
    "nvmlDeviceGetPciInfo_v3": {"busId": b"0000000F:01:00.0", "pciDeviceId": 0x2E1210DE},
    "nvmlDeviceGetArchitecture": 10,
    "nvmlDeviceGetCudaComputeCapability": (12, 1),
    "nvmlDeviceGetMaxClockInfo": ByArgument({1: 3003}),
    "nvmlDeviceGetComputeMode": 0,
    "nvmlDeviceGetMaxPcieLinkGeneration": 1,
    "nvmlDeviceGetMaxPcieLinkWidth": 1,
}

GH200: dict[str, Any] = {
    **RTX_4090,
    "nvmlDeviceGetName": "NVIDIA GH200 480GB",
    "nvmlDeviceGetPciInfo_v3": {"busId": b"00000009:01:00.0", "pciDeviceId": 0x234210DE},
    "nvmlDeviceGetArchitecture": 9,
    "nvmlDeviceGetCudaComputeCapability": (9, 0),
    "nvmlDeviceGetMemoryInfo_v2": {
        "total": 97871 * MIB,
        "reserved": 584 * MIB,
        "free": 97280 * MIB,
        "used": 7 * MIB,
    },
    "nvmlDeviceGetMemoryBusWidth": 6144,
    "nvmlDeviceGetMaxClockInfo": ByArgument({1: 1980, 2: 2619}),
    "nvmlDeviceGetC2cModeInfoV": {"isC2cEnabled": 1},
    "nvmlDeviceGetNumaNodeId": 1,
    "nvmlDeviceGetEccMode": (1, 1),
}


def nvswitch_links(count: int) -> dict[str, Any]:
    """Links of an SXM card, all to switches."""
    return {
        "nvmlDeviceGetNvLinkState": ByArgument(dict.fromkeys(range(count), 1)),
        "nvmlDeviceGetNvLinkVersion": ByArgument(dict.fromkeys(range(count), 7)),
        "nvmlDeviceGetNvLinkRemoteDeviceType": ByArgument(dict.fromkeys(range(count), 2)),
    }


A100: dict[str, Any] = {
    **RTX_4090,
    "nvmlDeviceGetName": "NVIDIA A100-SXM4-40GB",
    "nvmlDeviceGetPciInfo_v3": {"busId": b"00000000:07:00.0", "pciDeviceId": 0x20B010DE},
    "nvmlDeviceGetArchitecture": 7,
    "nvmlDeviceGetCudaComputeCapability": (8, 0),
    "nvmlDeviceGetMemoryInfo_v2": {
        "total": 40960 * MIB,
        "reserved": 426 * MIB,
        "free": 40500 * MIB,
        "used": 34 * MIB,
    },
    "nvmlDeviceGetMemoryBusWidth": 5120,
    "nvmlDeviceGetMaxClockInfo": ByArgument({1: 1410, 2: 1215}),
}

NO_PERMISSION = Error(4)
