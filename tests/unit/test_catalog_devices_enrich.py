"""enrich(): what the catalog adds to scanned machines, and what it must leave alone."""

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    Cpu,
    Machine,
    Memory,
    MemoryModule,
    Power,
    Range,
    Source,
)
from probe.machine.description import Measurement
from probe.units import GB, GIB, MIB


def gpu(**fields: object) -> Accelerator:
    """A usable discrete NVIDIA device with the given readings."""
    values: dict[str, object] = {
        "index": 0,
        "kind": AcceleratorKind.DISCRETE,
        "vendor": "nvidia",
        "name": "NVIDIA GeForce RTX 3060",
        "state": AcceleratorState.USABLE,
    }
    return Accelerator(**{**values, **fields})  # type: ignore[arg-type]  # fields are checked by the tests


def test_detected_gpu_gets_what_it_could_not_say() -> None:
    """NVML readings of an RTX 3060 12 GB; capability and rates come from the catalog."""
    machine = enrich(
        Machine(
            accelerators=(
                gpu(
                    pci_id="10de:2504",
                    memory_total_bytes=12288 * MIB,
                    memory_clock_mhz=7501,
                    bus_width_bits=192,
                ),
            )
        )
    )
    (device,) = machine.accelerators
    assert device.catalog_name == "NVIDIA GeForce RTX 3060 12GB"
    assert device.compute_capability == "8.6"
    assert device.memory_type == "GDDR6"
    assert device.laptop is False
    assert device.compute is not None
    assert device.compute.fp16_tflops is not None
    assert machine.provenance["/accelerators/0/compute_capability"].kind == "catalog"


def test_bandwidth_follows_the_readings_not_the_table() -> None:
    """2 x 7501 MHz x 192 bit / 8 = 360.05 GB/s, marked as read."""
    machine = enrich(Machine(accelerators=(gpu(memory_clock_mhz=7501, bus_width_bits=192),)))
    bandwidth = machine.accelerators[0].bandwidth_bytes_per_s
    assert bandwidth is not None
    assert bandwidth.value == pytest.approx(360.048 * GB)
    assert bandwidth.basis == "nvml"
    assert machine.provenance["/accelerators/0/bandwidth_bytes_per_s"].kind == "read"


def test_doubtful_gpu_gets_no_figures() -> None:
    """RTX 3060 without memory and id: 8 or 12 GB, so neither."""
    machine = enrich(Machine(accelerators=(gpu(),)))
    (device,) = machine.accelerators
    assert device.catalog_name is None
    assert device.bandwidth_bytes_per_s is None
    assert machine.provenance == {}


def test_vgpu_guest_gets_no_board_figures() -> None:
    device = gpu(pci_id="10de:2504", memory_total_bytes=12288 * MIB, virtualization="vgpu")
    assert enrich(Machine(accelerators=(device,))).accelerators[0].catalog_name is None


def test_readings_are_never_replaced() -> None:
    own = Range(low=300 * GB, value=300 * GB, high=300 * GB, basis="nvml")
    device = gpu(
        pci_id="10de:2504",
        memory_total_bytes=12288 * MIB,
        bandwidth_bytes_per_s=own,
        compute_capability="8.7",
        architecture="as read",
        memory_type="GDDR6X",
    )
    memory = Memory(
        total_bytes=16 * GIB, bandwidth_bytes_per_s=Range(low=1.0, value=2.0, high=3.0, basis="modules")
    )
    before = Machine(
        cpu=Cpu(brand="Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz", vendor="intel", generation="as read"),
        memory=memory,
        accelerators=(device,),
        provenance={"/memory/total_bytes": Source(kind="read", source="psutil")},
    )
    after = enrich(before)
    (filled,) = after.accelerators
    assert filled.bandwidth_bytes_per_s == own
    assert filled.compute_capability == "8.7"
    assert filled.architecture == "as read"
    assert filled.memory_type == "GDDR6X"
    assert after.memory.bandwidth_bytes_per_s == memory.bandwidth_bytes_per_s
    assert after.cpu.generation == "as read"
    assert after.provenance["/memory/total_bytes"].kind == "read"


def test_enriching_twice_changes_nothing() -> None:
    machine = enrich(
        Machine(
            cpu=Cpu(brand="AMD Ryzen 5 5600X 6-Core Processor"),
            memory=Memory(total_bytes=32 * GIB),
            accelerators=(gpu(pci_id="10de:2504", memory_total_bytes=12288 * MIB),),
        )
    )
    assert enrich(machine) == machine


def test_ram_bandwidth_from_channels_and_speed() -> None:
    machine = enrich(Machine(memory=Memory(total_bytes=16 * GIB, speed_mt_per_s=2666, channels=2)))
    bandwidth = machine.memory.bandwidth_bytes_per_s
    assert bandwidth is not None
    assert (bandwidth.low, bandwidth.high) == (bandwidth.value, bandwidth.value)
    assert bandwidth.value == pytest.approx(42.656 * GB)
    assert bandwidth.basis == "modules"


def test_single_module_is_one_channel() -> None:
    """An office PC whose SMBIOS lists one DIMM: half of what the processor could read."""
    module = MemoryModule(size_bytes=16 * GIB, type="DDR4", configured_mt_per_s=2666)
    machine = enrich(
        Machine(
            cpu=Cpu(brand="Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz"),
            memory=Memory(total_bytes=16 * GIB, type="DDR4", speed_mt_per_s=2666, modules=(module,)),
        )
    )
    assert machine.memory.channels == 1
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == pytest.approx(21.328 * GB)
    assert machine.memory.single_module_share is None


def test_two_modules_on_unknown_channels_stay_a_range() -> None:
    """Two DIMMs usually fill both channels; locators that say nothing do not prove it."""
    module = MemoryModule(size_bytes=8 * GIB, type="DDR4", configured_mt_per_s=2666)
    machine = enrich(
        Machine(
            cpu=Cpu(brand="Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz"),
            memory=Memory(total_bytes=16 * GIB, type="DDR4", speed_mt_per_s=2666, modules=(module, module)),
        )
    )
    bandwidth = machine.memory.bandwidth_bytes_per_s
    assert bandwidth is not None
    assert bandwidth.low == pytest.approx(21.328 * GB)
    assert bandwidth.value == bandwidth.high == pytest.approx(42.656 * GB)
    assert machine.memory.single_module_share is None


def test_unread_modules_give_a_range_and_the_share_of_single_ones() -> None:
    machine = enrich(
        Machine(
            cpu=Cpu(brand="Intel(R) Core(TM) i5-10400 CPU @ 2.90GHz"), memory=Memory(total_bytes=16 * GIB)
        )
    )
    bandwidth = machine.memory.bandwidth_bytes_per_s
    assert bandwidth is not None
    assert bandwidth.basis == "prior"
    assert bandwidth.low < bandwidth.value < bandwidth.high
    assert machine.memory.single_module_share == pytest.approx(0.43, abs=0.005)
    assert machine.provenance["/memory/bandwidth_bytes_per_s"].kind == "catalog"


def test_laptop_and_desktop_of_one_family_have_different_priors() -> None:
    cpu = Cpu(brand="Intel(R) Core(TM) i5-4300M CPU @ 2.60GHz")
    laptop = enrich(Machine(cpu=cpu, power=Power(laptop=True)))
    desktop = enrich(Machine(cpu=cpu, power=Power(laptop=False)))
    assert laptop.memory.single_module_share == pytest.approx(0.267)
    assert desktop.memory.single_module_share == pytest.approx(0.164)


def test_unknown_processor_gives_the_widest_band_and_no_share() -> None:
    """A virtual machine of an unnamed host: from one slow module to two fast DDR5 channels."""
    machine = enrich(Machine(cpu=Cpu(brand="AMD EPYC"), memory=Memory(total_bytes=64 * GIB)))
    bandwidth = machine.memory.bandwidth_bytes_per_s
    assert bandwidth is not None
    assert bandwidth.basis == "prior"
    assert bandwidth.low < 12 * GB
    assert bandwidth.high > 80 * GB
    assert machine.memory.single_module_share is None
    assert machine.cpu.catalog_name is None


def test_memory_of_unknown_size_has_no_bandwidth() -> None:
    assert enrich(Machine(cpu=Cpu(brand="AMD EPYC"))).memory.bandwidth_bytes_per_s is None


def test_measurement_beats_every_table() -> None:
    measured = Measurement(
        what="ram_read_bytes_per_s",
        low=20.0 * GB,
        value=22.0 * GB,
        high=23.0 * GB,
        unit="bytes/s",
        at="2026-11-21T00:00:00Z",
        fingerprint="f",
    )
    before = enrich(Machine(cpu=Cpu(brand="Intel(R) N100"), memory=Memory(total_bytes=16 * GIB)))
    after = enrich(msgspec.structs.replace(before, measurements=(measured,)))
    bandwidth = after.memory.bandwidth_bytes_per_s
    assert bandwidth is not None
    assert (bandwidth.value, bandwidth.basis) == (22.0 * GB, "measured")
    assert after.provenance["/memory/bandwidth_bytes_per_s"].kind == "measured"


def test_apple_machine_gets_bandwidth_and_wired_limit_from_its_chip() -> None:
    """What system_profiler gives: chip name, 40 GPU cores, 64 GB."""
    device = Accelerator(
        index=0,
        kind=AcceleratorKind.UNIFIED,
        vendor="apple",
        name="Apple M4 Max",
        state=AcceleratorState.USABLE,
        gpu_cores=40,
        memory_shared=True,
    )
    machine = enrich(
        Machine(cpu=Cpu(brand="Apple M4 Max"), memory=Memory(total_bytes=64 * GIB), accelerators=(device,))
    )
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == 546 * GB
    wired = machine.accelerators[0].wired_limit_bytes
    assert wired is not None
    assert wired.low == pytest.approx(0.65 * 64 * GIB)


def test_wired_limit_that_the_system_says_stays() -> None:
    own = Range(low=60.0 * GIB, value=60.0 * GIB, high=60.0 * GIB, basis="sysctl")
    device = Accelerator(
        index=0,
        kind=AcceleratorKind.UNIFIED,
        vendor="apple",
        name="Apple M4 Max",
        state=AcceleratorState.USABLE,
        gpu_cores=40,
        wired_limit_bytes=own,
    )
    machine = enrich(Machine(memory=Memory(total_bytes=64 * GIB), accelerators=(device,)))
    assert machine.accelerators[0].wired_limit_bytes == own


def test_npu_gets_its_sentence_and_no_memory() -> None:
    device = Accelerator(
        index=0,
        kind=AcceleratorKind.NPU,
        vendor="intel",
        name="Intel(R) AI Boost",
        state=AcceleratorState.USABLE,
        pci_id="8086:643e",
    )
    (filled,) = enrich(Machine(accelerators=(device,))).accelerators
    assert filled.catalog_name == "Intel AI Boost NPU4 (Lunar Lake)"
    assert filled.software_note == "npus.intel_npu"
    assert filled.memory_total_bytes is None
