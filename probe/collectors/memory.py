"""System RAM: how much there is, how much is free, and what is not ours."""

import re
from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host
from probe.machine.system import Memory, NumaNode

_NODES: Final = "/sys/devices/system/node"


def collect(host: Host) -> Facts:
    """RAM by /proc/meminfo on Linux, by psutil elsewhere and where that fails."""
    on_linux = host.platform().system == "linux"
    text: str | Failure | None = None
    if on_linux:
        text, attempt = ask(host, "/proc/meminfo", lambda: host.read_text("/proc/meminfo"))
        yield attempt
    memory = None if text is None or isinstance(text, Failure) else parse_meminfo(text)
    if memory is not None and memory.total_bytes:
        yield Found(memory, "/proc/meminfo")
    else:
        figures, attempt = ask(host, "psutil: memory", host.memory_figures)
        yield attempt
        if not isinstance(figures, Failure):
            yield Found(
                Memory(
                    total_bytes=figures.total_bytes,
                    available_bytes=figures.available_bytes,
                    swap_total_bytes=figures.swap_total_bytes,
                    swap_free_bytes=figures.swap_free_bytes,
                ),
                "psutil",
            )
    if on_linux:
        swaps = host.read_text("/proc/swaps")
        if not isinstance(swaps, Failure):
            yield Found(parse_swaps(swaps), "/proc/swaps")


def collect_numa(host: Host) -> Facts:
    """NUMA nodes and whether they have processors. Asked apart: node files belong to device drivers too."""
    if host.platform().system != "linux":
        return
    names, attempt = ask(host, _NODES, lambda: host.list_directory(_NODES))
    yield attempt
    if isinstance(names, Failure):
        return
    nodes: list[NumaNode] = []
    for name in names:
        if not re.fullmatch(r"node\d+", name):
            continue
        cpus = host.read_text(f"{_NODES}/{name}/cpulist")
        text = host.read_text(f"{_NODES}/{name}/meminfo")
        nodes.append(
            NumaNode(
                index=int(name[4:]),
                total_bytes=None if isinstance(text, Failure) else parse_node_total(text),
                has_cpus=None if isinstance(cpus, Failure) else bool(cpus.strip()),
            )
        )
    if nodes:
        yield Found(Memory(numa_nodes=tuple(sorted(nodes, key=lambda node: node.index))), _NODES)


def parse_meminfo(text: str) -> Memory:
    """RAM of /proc/meminfo, bytes. Huge pages set aside are counted: nobody else can allocate them."""
    kib = {name: int(value) for name, value in re.findall(r"^([\w()]+):\s+(\d+) kB$", text, re.MULTILINE)}
    pages = dict(re.findall(r"^(HugePages_\w+):\s+(\d+)$", text, re.MULTILINE))
    total = kib.get("MemTotal")
    available = kib.get("MemAvailable")
    if available is None and total is not None:  # kernels before 3.14
        parts = [kib.get(name) for name in ("MemFree", "Buffers", "Cached")]
        available = sum(part for part in parts if part is not None) if parts[0] is not None else None
    # `Hugetlb` sums all page sizes (since Linux 4.17), the product knows the default size only.
    huge = kib.get("Hugetlb")
    if huge is None and "HugePages_Total" in pages and "Hugepagesize" in kib:
        huge = int(pages["HugePages_Total"]) * kib["Hugepagesize"]
    return Memory(
        total_bytes=_bytes(total),
        available_bytes=_bytes(available),
        hugepages_bytes=_bytes(huge),
        swap_total_bytes=_bytes(kib.get("SwapTotal")),
        swap_free_bytes=_bytes(kib.get("SwapFree")),
    )


def parse_swaps(text: str) -> Memory:
    """Swap on disks alone: zram is RAM that was counted already."""
    total = used = 0
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 4 and fields[2].isdigit() and fields[3].isdigit() and "zram" not in fields[0]:
            total += int(fields[2]) * 1024
            used += int(fields[3]) * 1024
    return Memory(swap_total_bytes=total, swap_free_bytes=max(0, total - used))


def parse_node_total(text: str) -> int | None:
    """MemTotal of one NUMA node's meminfo, bytes."""
    found = re.search(r"MemTotal:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else None


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else kib * 1024
