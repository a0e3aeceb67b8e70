"""The firmware's table, taken apart: 400 real module tables built as bytes, and hostile ones."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.collectors.smbios import is_virtual, parse_table, parse_windows_table
from probe.collectors.smbios_channels import named_places
from probe.collectors.smbios_memory import memory_of
from probe.machine.redact import hide_smbios_serials
from tests.fakes import smbios_tables as build

MACHINES = build.real_machines()
GIB = 1024**3

# Rows of the list where its own figure is not what the machine does, and why.
WRONG_SPEED = {
    32: "533 is the clock of DDR3-1066",
    56: "1333 is the clock of DDR4-2666",
    81: "800 is the clock of DDR3-1600",
    96: "800 is the clock of DDR3-1600",
    161: "533 is the clock of DDR3-1066",
    236: "1467 is the clock of DDR4-2933",
    249: "1200 is the clock of DDR4-2400",
    267: "1667 is the clock of DDR4-3334",
    321: "1200 is the clock of DDR4-2400",
    343: "667 is the clock of DDR3-1333",
    364: "667 is the clock of DDR3-1333",
    393: "1066 is the clock of DDR4-2133",
    102: "342 is no rate and no clock of DDR3; the label says 1333",
    288: "49926 is nonsense",
}
WRONG_CHANNELS = {
    297: "Controller0ChannelA and Controller1ChannelA are two",
    92: "a letter with four slots of DDR3 is a processor, not a channel",
    230: "a letter with eight slots is a processor, not a channel",
    307: "a letter with nine slots is a processor, not a channel",
}


def type_of(row: dict[str, Any]) -> str:
    return next(module["type"] for module in row["modules"] if module["size"] != "No Module Installed")


@pytest.mark.parametrize("position", range(len(MACHINES)))
def test_real_table_gives_modules_sizes_and_speed(position: int) -> None:
    row = MACHINES[position]
    memory = memory_of(parse_table(build.table(row["modules"])))
    assert len(memory.modules) == row["populated"]
    assert memory.installed_bytes == row["total_bytes"]
    if position not in WRONG_SPEED:
        assert memory.speed_mt_per_s == row["min_configured_mts"]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (32, 1066),
        (56, 2666),
        (81, 1600),
        (96, 1600),
        (102, 1333),
        (161, 1066),
        (236, 2933),
        (249, 2400),
        (267, 3334),
        (288, None),
        (321, 2400),
        (343, 1333),
        (364, 1333),
        (393, 2133),
    ],
)
def test_clock_is_told_from_data_rate_and_nonsense_is_dropped(position: int, expected: int | None) -> None:
    memory = memory_of(parse_table(build.table(MACHINES[position]["modules"])))
    assert memory.speed_mt_per_s == expected, WRONG_SPEED[position]


def test_channels_named_by_the_table_are_counted() -> None:
    """Where the list counts channels, we find the same places, but for the rows named above."""
    wrong: dict[int, tuple[int | None, int]] = {}
    for position, row in enumerate(MACHINES):
        if row["channels_by_locator"] is None:
            continue
        places = named_places(parse_table(build.table(row["modules"])).devices)
        found = None if places is None else len(set(places))
        if found != row["channels_by_locator"]:
            wrong[position] = (found, row["channels_by_locator"])
    assert wrong == {297: (2, 1), 92: (None, 1), 230: (None, 4), 307: (None, 2)}


def test_channels_of_ddr_are_those_named_or_unknown() -> None:
    """DIMMs: as named; one module fills one channel; without words only a single module is certain."""
    for position, row in enumerate(MACHINES):
        if type_of(row).startswith("LPDDR") or position in WRONG_CHANNELS:
            continue
        channels = memory_of(parse_table(build.table(row["modules"]))).channels
        if row["channels_by_locator"] is not None:
            assert channels == row["channels_by_locator"], position
        elif row["populated"] == 1:
            assert channels == 1, position
        else:
            # Two boards write CHA1/CHB2 and DDR4-A2/DDR4-B2, which the list did not read.
            assert channels == {38: 2, 367: 2}.get(position), position


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (23, 2),  # i5-1135G7: eight LPDDR4X places of 16 bits are 128 bits
        (311, 2),  # i5-12500H: the same eight places, each with the width of a DIMM filled in
        (254, 2),  # Ryzen 6850U: four LPDDR5 places of 32 bits
        (7, 2),  # i5-6200U: two LPDDR3 chips of 64 bits, no channel named
        (219, 2),  # eight places called "Motherboard"
        (76, None),  # N100: four of 16 bits are one channel, as the catalog knows; other tables say 64 of 128
        (216, None),  # i7-1065G7 has 128 bits, its table says 64
        (174, None),  # 32 bits exist nowhere
    ],
)
def test_soldered_memory_counts_by_its_width(position: int, expected: int | None) -> None:
    row = MACHINES[position]
    memory = memory_of(parse_table(build.table(row["modules"])))
    assert memory.channels == expected
    assert (memory.type or "").startswith("LPDDR")


@pytest.mark.parametrize(
    ("locators", "expected"),
    [
        ([("ChannelA-DIMM0", "BANK 0"), ("ChannelB-DIMM0", "BANK 2")], 2),
        ([("DIMM_A2", "BANK 1"), ("DIMM_B2", "BANK 3")], 2),
        ([("DIMM 0", "P0 CHANNEL A"), ("DIMM 1", "P0 CHANNEL A")], 1),
        ([("Controller0-ChannelA-DIMM0", "BANK 0"), ("Controller1-ChannelA-DIMM0", "BANK 0")], 2),
        ([("P1-DIMMA1", "P0_Node0_Channel0_Dimm0"), ("P2-DIMMA1", "P1_Node1_Channel0_Dimm0")], 2),
        ([("CPU1_DIMM_A1", "NODE 1"), ("CPU1_DIMM_B1", "NODE 1"), ("CPU2_DIMM_A1", "NODE 2")], 3),
        ([("DIMM_P0_A0", "BANK 0"), ("DIMM_P1_A0", "BANK 0")], 2),
        ([("CPU0_C0D0", "NODE 0"), ("CPU0_C1D0", "NODE 0")], 2),
        # Must not match: these words name no channel.
        ([("DIMM 1", "BANK 0"), ("DIMM 2", "BANK 2")], None),
        ([("Bottom-Slot 1(left)", "BANK 0"), ("Bottom-Slot 2(right)", "BANK 2")], None),
        ([("A1_DIMM0", "A1_BANK0"), ("A1_DIMM1", "A1_BANK1")], None),
        ([("A1", "Not Specified"), ("B1", "Not Specified")], None),
        ([("PROC  1 DIMM  1", "Not Specified"), ("PROC  1 DIMM  4", "Not Specified")], None),
        ([("Motherboard", "Not Specified"), ("Motherboard", "Not Specified")], None),
        ([("ChannelA-DIMM0", "BANK 0"), ("DIMM1", "BANK 2")], None),
    ],
)
def test_words_of_makers(locators: list[tuple[str, str]], expected: int | None) -> None:
    modules = [build.module(locator=locator, bank=bank) for locator, bank in locators]
    assert memory_of(parse_table(build.table(modules))).channels == expected


def test_types_speeds_and_widths_of_each_module_are_kept() -> None:
    slow = build.module("8 GB", "DIMM_A1", "BANK 0", speed="3200 MT/s", configured="2933 MT/s")
    fast = build.module("32 GB", "DIMM_B1", "BANK 2", speed="3600 MT/s", configured="2933 MT/s")
    memory = memory_of(parse_table(build.table([slow, fast])))
    assert [module.size_bytes for module in memory.modules] == [8 * GIB, 32 * GIB]
    assert [module.rated_mt_per_s for module in memory.modules] == [3200, 3600]
    assert [module.configured_mt_per_s for module in memory.modules] == [2933, 2933]
    assert [module.locator for module in memory.modules] == ["DIMM_A1", "DIMM_B1"]
    assert (memory.type, memory.speed_mt_per_s, memory.rated_speed_mt_per_s) == ("DDR4", 2933, 3200)


def test_size_of_kib_and_of_more_than_32_gib() -> None:
    """Bit 15 means KiB; 0x7FFF sends to the extended field; 0xFFFF is unknown."""
    small = bytearray(build.memory_device(build.module("8 GB")))
    struct.pack_into("<H", small, 0x0C, 0x8000 | 512)
    large = build.memory_device(build.module("128 GB"))
    unknown = bytearray(build.memory_device(build.module("8 GB")))
    struct.pack_into("<H", unknown, 0x0C, 0xFFFF)
    sizes = [device.size_bytes for device in parse_table(bytes(small) + large + bytes(unknown)).devices]
    assert sizes == [512 * 1024, 128 * GIB, None]
    memory = memory_of(parse_table(large + bytes(unknown)))
    assert memory.installed_bytes is None
    assert len(memory.modules) == 1


def test_speed_beyond_the_word_stands_in_the_extended_field() -> None:
    raw = bytearray(build.memory_device(build.module(kind="DDR5")))
    text = raw[4 + 36 :]
    body = bytes(raw[: 4 + 36]).ljust(0x5C, b"\0")
    raw = bytearray(body + text)
    raw[1] = 0x5C
    struct.pack_into("<H", raw, 0x15, 0xFFFF)
    struct.pack_into("<H", raw, 0x20, 0xFFFF)
    struct.pack_into("<II", raw, 0x54, 8800, 8000)
    device = parse_table(bytes(raw)).devices[0]
    assert (device.rated, device.configured) == (8800, 8000)


def test_windows_answer_has_a_header_whose_length_may_lie() -> None:
    raw = build.table([build.module()])
    assert parse_windows_table(build.windows_table(raw)) == parse_table(raw)
    for length in (0, 3, len(raw) // 2, 2**32 - 1):
        lying = struct.pack("<BBBBI", 0, 3, 3, 0, length) + raw
        assert len(parse_windows_table(lying).devices) in (0, 1)


def test_chassis_and_sockets() -> None:
    raw = build.table([], build.chassis(10), build.processor(), build.processor(populated=False))
    assert parse_table(raw).chassis == 10
    assert parse_table(raw).sockets == 1


@pytest.mark.parametrize(
    "raw",
    [
        build.bios(virtual=True),
        build.system("QEMU", "Standard PC (Q35 + ICH9, 2009)"),
        build.system("Microsoft Corporation", "Virtual Machine"),
        build.system("VMware, Inc.", "VMware20,1"),
        build.system("innotek GmbH", "VirtualBox"),
        build.system("Amazon EC2", "m7i.large"),
        build.system("Google", "Google Compute Engine"),
    ],
)
def test_virtual_machines_are_known(raw: bytes) -> None:
    assert parse_table(raw).virtual


@pytest.mark.parametrize(
    ("maker", "product"),
    [
        ("Microsoft Corporation", "Surface Laptop 7"),
        ("Amazon EC2", "i4i.metal"),
        ("Dell Inc.", "XPS 13"),
        (None, None),
    ],
)
def test_real_machines_are_not_virtual(maker: str | None, product: str | None) -> None:
    assert not is_virtual(maker, product)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x11",
        b"\x11\x00\x00\x00\0\0",  # a length below the header's
        b"\x11\x03\x00\x00\0\0",
        b"\x11\xff\x00\x00",  # longer than the table
        b"\x11\x22\x40\x00" + b"\0" * 10,
        bytes(65536),
        b"\xff" * 4096,
        b"\x11\x04\x00\x00\0\0" * 10000,  # ten thousand slots
        build.table([build.module()])[:-6],  # no end
    ],
)
def test_hostile_table_never_raises(raw: bytes) -> None:
    assert memory_of(parse_table(raw)).speed_mt_per_s in (None, 3200)
    parse_windows_table(raw)
    hide_smbios_serials(raw)


def test_structure_cut_off_in_its_text_is_still_read() -> None:
    raw = build.memory_device(build.module("16 GB", "DIMM_A1"))[:-20]
    device = parse_table(raw).devices[0]
    assert (device.size_bytes, device.locator) == (16 * GIB, "DIMM_A1")


@given(st.data())
def test_any_damage_to_a_real_table_never_raises(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(MACHINES))
    raw = bytearray(build.table(row["modules"], build.chassis(3), build.system()))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    memory = memory_of(parse_table(bytes(raw[:cut])))
    assert memory.channels is None or memory.channels <= len(row["modules"])
    assert all(0 < module.size_bytes <= 4 * 1024**4 for module in memory.modules)


def test_serial_numbers_are_gone_from_a_recorded_table_and_nothing_else_changes() -> None:
    raw = build.table([build.module(), build.module(locator="DIMM 1")], build.system(), build.chassis(3))
    hidden = hide_smbios_serials(raw)
    assert build.SERIAL.encode() in raw
    assert build.SERIAL.encode() not in hidden
    assert parse_table(hidden) == parse_table(raw)
