"""Processor families: counted real machines, strings outside that list, and names that must stay unknown."""

import csv
import gzip
import io
import re
from pathlib import Path

import pytest

from probe.catalog.cpus import all_cpus, cores_of, find_cpu, find_cpu_model, form_population, match_cpu
from probe.catalog.memory_prior import memory_prior
from probe.errors import UnknownNameError
from probe.machine import Memory
from probe.units import GB

TRUTH = Path(__file__).resolve().parents[1] / "truth"


def counted_brands() -> list[tuple[str, int]]:
    """Brand strings of 93,366 real machines with their counts (linuxhw/DMI, January 2025)."""
    content = gzip.decompress((TRUTH / "cpu_brands.csv.gz").read_bytes()).decode("utf-8")
    return [(row["brand"], int(row["machines"])) for row in csv.DictReader(io.StringIO(content))]


def test_almost_all_counted_machines_are_classified() -> None:
    brands = counted_brands()
    total = sum(count for _, count in brands)
    known = sum(count for brand, count in brands if match_cpu(brand) is not None)
    assert total == 93_366
    assert known / total >= 0.97


# Brand strings that are not in the counted list, with the maker's code name.
@pytest.mark.parametrize(
    ("brand", "generation"),
    [
        ("13th Gen Intel(R) Core(TM) i5-1334U", "Raptor Lake"),
        ("13th Gen Intel(R) Core(TM) i9-13905H", "Raptor Lake"),
        ("Intel(R) Core(TM) i3-14100TE", "Raptor Lake"),
        ("Intel(R) Core(TM) i5-14450HX", "Raptor Lake"),
        ("Intel(R) Core(TM) 7 160UL", "Raptor Lake"),
        ("Intel(R) Core(TM) 5 120F", "Raptor Lake"),
        ("Intel(R) Core(TM) Ultra 5 225H", "Arrow Lake"),
        ("Intel(R) Core(TM) Ultra 9 285HX", "Arrow Lake"),
        ("Intel(R) Core(TM) Ultra 5 245KF", "Arrow Lake"),
        ("Intel(R) Core(TM) Ultra 7 268V", "Lunar Lake"),
        ("Intel(R) Core(TM) Ultra 5 134U", "Meteor Lake"),
        ("Intel(R) Core(TM) Ultra X9 388H", "Panther Lake"),
        ("12th Gen Intel(R) Core(TM) i5-12600HX", "Alder Lake"),
        ("12th Gen Intel(R) Core(TM) i7-1270PE", "Alder Lake"),
        ("12th Gen Intel(R) Core(TM) i5-1245UE", "Alder Lake"),
        ("Intel(R) N97", "Alder Lake-N / Twin Lake"),
        ("Intel(R) Core(TM) 3 N355", "Alder Lake-N / Twin Lake"),
        ("Intel Atom(R) x7425E", "Alder Lake-N"),
        ("11th Gen Intel(R) Core(TM) i5-11320H @ 3.20GHz", "Tiger Lake"),
        ("11th Gen Intel(R) Core(TM) i9-11900T @ 1.50GHz", "Rocket Lake"),
        ("Intel(R) Core(TM) i3-1000NG4 CPU @ 1.10GHz", "Ice Lake"),
        ("Intel(R) Core(TM) i9-10920X CPU @ 3.30GHz", "Cascade Lake"),
        ("Intel(R) Core(TM) i3-10305T CPU @ 3.00GHz", "Comet Lake"),
        ("Intel(R) Core(TM) i7-9700TE CPU @ 1.80GHz", "Coffee Lake"),
        ("Intel(R) Core(TM) i5+8400 CPU @ 2.80GHz", "Coffee Lake"),
        ("Intel(R) Core(TM) i7-7740X CPU @ 4.30GHz", "Kaby Lake-X"),
        ("Intel(R) Core(TM) i7-6785R CPU @ 3.30GHz", "Skylake"),
        ("Intel(R) Core(TM) i7-4785T CPU @ 2.20GHz", "Haswell"),
        ("Intel(R) Core(TM) i7-4930MX CPU @ 3.00GHz", "Haswell"),
        ("Intel(R) Core(TM) i3-3115C CPU @ 2.50GHz", "Ivy Bridge"),
        ("Intel(R) Core(TM) i5 CPU       U 470  @ 1.33GHz", "Westmere"),
        ("Intel(R) Core(TM)2 Quad  CPU   Q9100  @ 2.26GHz", "Merom / Penryn"),
        ("Intel(R) Core(TM)2 Extreme CPU Q6850  @ 3.00GHz", "Conroe / Wolfdale / Kentsfield / Yorkfield"),
        ("Intel(R) Celeron(R) N4505 @ 2.10GHz", "Jasper Lake"),
        ("Intel(R) Celeron(R) J4025 CPU @ 2.10GHz", "Gemini Lake"),
        ("Intel(R) Pentium(R) CPU N4200E @ 1.10GHz", "Apollo Lake"),
        ("Intel(R) Celeron(R) CPU N3010 @ 1.04GHz", "Braswell"),
        ("Intel(R) Celeron(R) CPU N2930 @ 1.83GHz", "Bay Trail"),
        ("Intel(R) Atom(TM) CPU N2600 @ 1.60GHz", "Diamondville / Pineview / Cedarview"),
        ("Intel(R) Celeron(R) N6211 @ 1.20GHz", "Elkhart Lake"),
        ("Intel(R) Pentium(R) Gold G7400TE", "Alder Lake"),
        ("Intel(R) Celeron(R) G5905 CPU @ 3.50GHz", "Comet Lake"),
        ("Intel(R) Pentium(R) CPU G6951 @ 2.80GHz", "Westmere"),
        ("Intel(R) Celeron(R) CPU B710 @ 1.60GHz", "Sandy Bridge"),
        ("Intel(R) Xeon(R) Silver 4410T", "Sapphire Rapids"),
        ("INTEL(R) XEON(R) GOLD 6526Y", "Emerald Rapids"),
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "Cascade Lake"),
        ("Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz", "Cascade Lake"),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Ice Lake"),
        ("Intel(R) Xeon(R) Gold 6348H CPU @ 2.30GHz", "Cooper Lake"),
        ("Intel(R) Xeon(R) 6787P", "Granite Rapids"),
        ("Intel(R) Xeon(R) CPU E5-4669 v4 @ 2.20GHz", "Broadwell-EP"),
        ("Intel(R) Xeon(R) CPU E5-2470 0 @ 2.30GHz", "Sandy/Ivy Bridge-EN"),
        ("Intel(R) Xeon(R) CPU X5672 @ 3.20GHz", "Westmere-EP"),
        ("Intel(R) Xeon(R) E-2288G CPU @ 3.70GHz", "Coffee Lake"),
        ("Intel(R) Xeon(R) w7-2495X", "Sapphire Rapids-WS"),
        ("AMD Ryzen 9 9950X3D 16-Core Processor", "Zen 5"),
        ("AMD Ryzen 5 9600 6-Core Processor", "Zen 5"),
        ("AMD Ryzen 7 8745HS w/ Radeon 780M Graphics", "Zen 4"),
        ("AMD Ryzen 5 PRO 7640HS w/ Radeon 760M Graphics", "Zen 4"),
        ("AMD Ryzen 3 7330U with Radeon Graphics", "Zen 3"),
        ("AMD Ryzen 3 5425U with Radeon Graphics", "Zen 3 / Zen 2"),
        ("AMD Ryzen 5 PRO 4655G with Radeon Graphics", "Zen 2"),
        ("AMD Ryzen 7 PRO 3700 8-Core Processor", "Zen 2"),
        ("AMD Ryzen AI 9 365 w/ Radeon 880M", "Zen 5/5c"),
        ("AMD Ryzen AI 7 PRO 350 w/ Radeon 860M", "Zen 5/5c"),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "Zen 5"),
        ("AMD EPYC 7R13 Processor", "Zen 3"),
        ("AMD EPYC 7B12", "Zen 2"),
        ("AMD EPYC 9R14", "Zen 4"),
        ("AMD EPYC 9755 128-Core Processor", "Zen 5"),
        ("AMD Ryzen Threadripper PRO 7985WX 64-Cores", "Zen 4"),
        ("AMD Athlon Silver 3050U with Radeon Graphics", "Zen"),
        ("AMD FX(tm)-8120 Eight-Core Processor", "Bulldozer / Piledriver"),
        ("AMD A12-9700P RADEON R7, 12 COMPUTE CORES 4C+8G", "Excavator"),
        ("AMD A6-9220C RADEON R5, 5 COMPUTE CORES 2C+3G", "Excavator"),
        ("AMD Phenom(tm) II X4 980 Processor", "K10"),
        ("AMD Athlon(tm) 64 X2 Dual Core Processor 4800+", "K8 / K10"),
        ("AMD E-300 APU with Radeon(tm) HD Graphics", "Bobcat"),
        ("Apple M4 Pro", "Donan"),
        ("Snapdragon(R) X Elite - X1E78100 - Qualcomm(R) Oryon(TM) CPU", "Oryon"),
        ("Hygon C86 7285 32-core Processor", "Zen (Dhyana)"),
    ],
)
def test_brand_outside_the_counted_list_finds_its_generation(brand: str, generation: str) -> None:
    assert brand not in dict(counted_brands())
    row = match_cpu(brand)
    assert row is not None
    assert row.generation == generation


@pytest.mark.parametrize(
    "brand",
    [
        "AMD EPYC",
        "AMD EPYC Processor",
        "AMD EPYC-Rome Processor",
        "AMD EPYC-Milan Processor",
        "Intel(R) Xeon(R) Processor",
        "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "Intel(R) Xeon(R) Processor @ 2.50GHz",
        "Intel Xeon Processor (Skylake, IBRS)",
        "Intel Xeon Processor (Cascadelake)",
        "Intel Core Processor (Haswell, no TSX, IBRS)",
        "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
        "Genuine Intel(R) CPU 0000 @ 2.00GHz",
        "Genuine Intel(R) CPU @ 2.20GHz",
        "Genuine Intel(R) CPU",
        "AMD Eng Sample: 100-000000870-33_N",
        "AMD Processor model unknown",
        "QEMU Virtual CPU version 2.5+",
        "Common KVM processor",
        "Common 32-bit KVM processor",
        "VirtualApple @ 2.50GHz processor",
        "Apple M4 Ultra",
        "Intel(R)",
        "rv64imafdcsu",
        "Loongson-3A6000",
        "NVIDIA GeForce RTX 4090",
        "NVIDIA N100",
        "To Be Filled By O.E.M.",
        "",
        None,
    ],
)
def test_generic_virtual_and_sample_brands_stay_unknown(brand: str | None) -> None:
    assert match_cpu(brand) is None


def test_old_and_weak_processors_promise_no_avx() -> None:
    """Prebuilt wheels with AVX2 stop with an illegal instruction on these."""
    weak = [
        "Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz",
        "Intel(R) Atom(TM) CPU N450   @ 1.66GHz",
        "Intel(R) Celeron(R) N4020 CPU @ 1.10GHz",
        "Intel(R) Pentium(R) Gold G6400 CPU @ 4.00GHz",
        "AMD Phenom(tm) II X4 955 Processor",
        "AMD E-450 APU with Radeon(tm) HD Graphics",
    ]
    for brand in weak:
        row = match_cpu(brand)
        assert row is not None, brand
        assert not {"avx", "avx2"} & set(row.isa), brand


def test_single_channel_office_chips_are_one_channel() -> None:
    """N100 and its kin have one memory channel whatever is plugged in."""
    row = find_cpu("N100")
    assert row.channels == 1
    prior = memory_prior(row, Memory(), laptop=None, sockets=1)
    assert prior is not None
    assert prior.bandwidth.high == pytest.approx(38.4 * GB)
    assert prior.single_module_share is None


def test_prior_spans_one_channel_to_all_and_names_the_share() -> None:
    """Core 10th gen desktop i3/i5: 43 % of the counted machines have one module."""
    prior = memory_prior(find_cpu("i5-10400"), Memory(), laptop=None, sockets=1)
    assert prior is not None
    assert prior.single_module_share == pytest.approx(0.43, abs=0.005)
    assert prior.bandwidth.low <= 21.4 * GB
    assert prior.bandwidth.high == pytest.approx(42.7 * GB, rel=0.01)
    assert prior.bandwidth.low < prior.bandwidth.value < prior.bandwidth.high


def test_what_is_known_of_the_modules_narrows_the_prior() -> None:
    row = find_cpu("i5-8500")
    open_range = memory_prior(row, Memory(), laptop=None, sockets=1)
    with_speed = memory_prior(row, Memory(speed_mt_per_s=2666), laptop=None, sockets=1)
    assert open_range is not None
    assert with_speed is not None
    assert with_speed.bandwidth.low == pytest.approx(21.328 * GB)
    assert with_speed.bandwidth.high == pytest.approx(42.656 * GB)
    assert open_range.bandwidth.low <= with_speed.bandwidth.low
    assert open_range.bandwidth.high >= with_speed.bandwidth.high


def test_front_side_bus_limits_what_old_memory_gives() -> None:
    prior = memory_prior(find_cpu("Core 2 Quad Q8400"), Memory(), laptop=None, sockets=1)
    assert prior is not None
    assert prior.bandwidth.high <= 10.7 * GB


def test_soldered_memory_always_fills_its_channels() -> None:
    prior = memory_prior(find_cpu("Ryzen AI Max+ 395"), Memory(), laptop=None, sockets=1)
    assert prior is not None
    assert (prior.bandwidth.low, prior.bandwidth.high) == (256 * GB, 256 * GB)


@pytest.mark.parametrize(
    ("typed", "family", "cores"),
    [
        ("Core i5-8500", "Core 8th gen desktop i5/i7", 6),
        ("i5 8500", "Core 8th gen desktop i5/i7", 6),
        ("Xeon E5-2690 v4", "Xeon E5-1600/2600/4600 v4", 14),
        ("E5 2690v4", "Xeon E5-1600/2600/4600 v4", 14),
        ("EPYC 9554", "EPYC 9004 (Genoa/Bergamo)", 64),
        ("N100", "Core i3-N / Processor N (Alder Lake-N)", 4),
        ("Ryzen 9 7950X", "Ryzen 7000 desktop", 16),
        ("Ryzen 7950X", "Ryzen 7000 desktop", 16),
        ("라이젠 5 5600X", "Ryzen 5000 desktop", 6),
        ("인텔 코어 i5-12400", "Core 12th gen desktop", 6),
        ("Ryzen AI Max+ 395", "Ryzen AI Max 300 (Strix Halo)", 16),
        ("Core Ultra 7 258V", "Core Ultra 200V (Lunar Lake)", 8),
        ("Xeon Gold 6430", "Xeon Gold 4th gen (Sapphire Rapids)", 32),
        ("Threadripper 3970X", "Threadripper 3000", 32),
        ("Core 2 Quad Q8400", "Core 2 desktop", 4),
        ("Celeron N4000", "Pentium/Celeron N, J (Gemini Lake)", 2),
    ],
)
def test_typed_processor_finds_family_and_cores(typed: str, family: str, cores: int) -> None:
    found = find_cpu_model(typed)
    assert found.spec.name == family
    assert found.cores is not None
    assert found.cores.physical == cores


@pytest.mark.parametrize(
    "typed", ["Core i5", "Xeon", "EPYC", "i5-8500 banana", "RTX 4090", "Core i5-99999", "", "7950X", "A10"]
)
def test_typed_text_that_names_no_processor_is_refused(typed: str) -> None:
    with pytest.raises(UnknownNameError):
        find_cpu(typed)


def test_cores_of_a_printed_brand() -> None:
    intel = cores_of("Intel(R) Core(TM) i7-7700HQ CPU @ 2.80GHz")
    amd = cores_of("AMD EPYC 7R99 48-Core Processor")
    assert intel is not None
    assert (intel.physical, intel.logical) == (4, 8)
    assert amd is not None
    assert amd.physical == 48
    assert cores_of("Common KVM processor") is None


def test_every_row_is_reachable_by_its_own_example() -> None:
    """A row that an earlier one hides would never be found."""
    for row in all_cpus():
        if row.example and not re.search(r"Graviton|Amazon|Raspberry", row.example):
            assert match_cpu(row.example) is row, row.name


def test_ceilings_are_speed_times_channels() -> None:
    """Official peaks: i5-8500 42.7 GB/s, EPYC 9554 460.8, Xeon 6980P 614.4."""
    for typed, peak in (("i5-8500", 42.656), ("EPYC 9554", 460.8), ("Xeon 6980P", 614.4)):
        row = find_cpu(typed)
        assert row.memory_mt_per_s is not None
        assert row.channels is not None
        computed = row.memory_mt_per_s * 1e6 * row.channels * row.channel_width_bits / 8
        assert computed == pytest.approx(peak * GB)


def test_forms_have_a_prior_of_their_own() -> None:
    laptop, desktop = form_population("laptop"), form_population("desktop")
    assert laptop is not None
    assert desktop is not None
    assert laptop.share_one_module > desktop.share_one_module


def test_every_family_says_generation_memory_and_instruction_sets() -> None:
    """Two exceptions: a console chip with GDDR6 as RAM, and processors older than any build of today."""
    for row in all_cpus():
        assert row.generation, row.name
        if row.name != "AMD 4700S / 4800S kit":
            assert row.memory_type, row.name
            assert row.memory_mt_per_s, row.name
            assert row.channels, row.name
        if row.name != "Athlon XP and older":
            assert row.isa, row.name
        assert row.source
