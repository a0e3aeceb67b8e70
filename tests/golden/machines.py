"""The machines of the reports made by hand: an office PC, a gaming laptop, a server with eight GPUs."""

from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    Attempt,
    AttemptResult,
    Cpu,
    Disk,
    Host,
    Link,
    LinkKind,
    Machine,
    Memory,
    NvidiaDriver,
    OperatingSystem,
    OsFamily,
    PcieLink,
    Range,
)

GIB = 1024**3
GB = 10**9


def office_pc_machine() -> Machine:
    return Machine(
        host=Host(
            id="0123456789abcdef",
            name="office-7",
            os=OperatingSystem(family=OsFamily.WINDOWS, name="Windows 11", version="23H2"),
        ),
        cpu=Cpu(
            brand="Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz",
            vendor="intel",
            architecture="x86_64",
            physical_cores=6,
            logical_cores=6,
            usable_cores=6,
            isa=("avx2",),
        ),
        memory=Memory(
            total_bytes=17_000_000_000,
            available_bytes=9_300_000_000,
            type="DDR4",
            speed_mt_per_s=2666,
            channels=1,
            bandwidth_bytes_per_s=Range(low=14e9, value=17.1e9, high=21.3e9, basis="smbios"),
        ),
        accelerators=(
            Accelerator(
                index=0,
                kind=AcceleratorKind.INTEGRATED,
                vendor="intel",
                name="Intel(R) UHD Graphics 630",
                state=AcceleratorState.USABLE,
                memory_shared=True,
            ),
            Accelerator(
                index=1,
                kind=AcceleratorKind.NPU,
                vendor="intel",
                name="Intel(R) AI Boost",
                state=AcceleratorState.USABLE,
                memory_shared=True,
                software_note="npus.intel_npu",
            ),
        ),
        disks=(Disk(path="C:\\", free_bytes=120 * GB, total_bytes=512 * GB, kind="ssd"),),
        attempts=(
            Attempt(source="nvml", result=AttemptResult.ABSENT, ms=0.4, detail="nvml.dll not found"),
            Attempt(source="registry", result=AttemptResult.OK, ms=3.1),
            Attempt(source="smbios", result=AttemptResult.OK, ms=1.2),
        ),
    )


def laptop_machine() -> Machine:
    return Machine(
        host=Host(
            id="fedcba9876543210",
            name="gaming-laptop",
            os=OperatingSystem(family=OsFamily.LINUX, name="Ubuntu", version="24.04", glibc="2.39", wsl=2),
        ),
        cpu=Cpu(
            brand="AMD Ryzen 7 5800H with Radeon Graphics",
            physical_cores=8,
            logical_cores=16,
            usable_cores=12,
        ),
        memory=Memory(total_bytes=16 * GIB, available_bytes=11 * GIB, limit_bytes=8 * GIB),
        accelerators=(
            Accelerator(
                index=0,
                kind=AcceleratorKind.DISCRETE,
                vendor="nvidia",
                name="NVIDIA GeForce RTX 3070 Laptop GPU",
                state=AcceleratorState.USABLE,
                architecture="Ampere",
                compute_capability="8.6",
                memory_total_bytes=8 * GIB,
                memory_free_bytes=7 * GIB,
                bandwidth_bytes_per_s=Range(low=448e9, value=448e9, high=448e9, basis="nvml"),
                driver_version="580.95.05",
                pcie=PcieLink(generation=1, width=8, max_generation=4, max_width=16),
                laptop=True,
            ),
            Accelerator(
                index=1,
                kind=AcceleratorKind.DISCRETE,
                vendor="nvidia",
                name="NVIDIA GeForce GTX 1060 3GB",
                state=AcceleratorState.NO_DRIVER,
                state_reason="no_driver",
            ),
        ),
        nvidia=NvidiaDriver(driver_version="580.95.05", cuda_driver_version="13.0"),
        attempts=(
            Attempt(source="nvml", result=AttemptResult.OK, ms=31),
            Attempt(source="smbios", result=AttemptResult.DENIED, ms=0.3, detail="permission denied"),
            Attempt(source="nvidia_smi", result=AttemptResult.TIMEOUT, ms=4000, detail="no answer in 4 s"),
        ),
    )


def server_machine() -> Machine:
    gpus = tuple(
        Accelerator(
            index=index,
            kind=AcceleratorKind.DISCRETE,
            vendor="nvidia",
            name="NVIDIA H100 80GB HBM3",
            state=AcceleratorState.USABLE,
            architecture="Hopper",
            compute_capability="9.0",
            memory_total_bytes=81559 * 1024**2,
            memory_free_bytes=81000 * 1024**2,
            bandwidth_bytes_per_s=Range(low=3.35e12, value=3.35e12, high=3.35e12, basis="nvml"),
        )
        for index in range(8)
    )
    return Machine(
        host=Host(
            id="aaaabbbbccccdddd",
            name="dgx-1",
            os=OperatingSystem(family=OsFamily.LINUX, name="Ubuntu", version="22.04", container="docker"),
        ),
        cpu=Cpu(
            brand="INTEL(R) XEON(R) PLATINUM 8480C", physical_cores=112, logical_cores=224, usable_cores=224
        ),
        memory=Memory(total_bytes=2048 * GIB, available_bytes=1900 * GIB, type="DDR5", speed_mt_per_s=4800),
        accelerators=gpus,
        nvidia=NvidiaDriver(driver_version="580.82.07", cuda_driver_version="13.0"),
        links=tuple(
            Link(a="gpu0", b=f"gpu{index}", kind=LinkKind.NVLINK, bytes_per_s=450e9) for index in range(1, 8)
        ),
    )
