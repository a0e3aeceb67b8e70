"""Checks of what joins several GPUs: NVLink, peer access, slots, sockets."""

from itertools import combinations
from typing import Final

from probe.machine import Link, LinkKind
from probe.recommender.preflight.situation import Check, Result, Situation, check, passed, unknown

_FEWEST_LANES: Final = 8
_OLDEST_PCIE: Final = 3
_MOST_WITHOUT_NVLINK: Final = 2  # vLLM's own all-reduce is off above two PCIe-only GPUs


def _pairs(situation: Situation) -> list[Link | None]:
    """For each pair of usable GPUs its link, NVLink before others."""
    names = [f"gpu{device.index}" for device in situation.usable]
    found: list[Link | None] = []
    for one, other in combinations(names, 2):
        links = [link for link in situation.machine.links if {link.a, link.b} == {one, other}]
        links.sort(key=lambda link: link.kind is not LinkKind.NVLINK)
        found.append(links[0] if links else None)
    return found


def _all_nvlink(situation: Situation) -> bool | None:
    pairs = _pairs(situation)
    if any(link is not None and link.kind is not LinkKind.NVLINK for link in pairs):
        return False
    return None if any(link is None for link in pairs) else bool(pairs)


def judge_nvlink(situation: Situation) -> Check | None:
    """Whether every pair of GPUs is joined by NVLink."""
    if len(situation.usable) < 2:
        return None
    joined = _all_nvlink(situation)
    if joined is None:
        return unknown("nvlink")
    return passed("nvlink", "NVLink") if joined else check("nvlink", Result.INFO, "PCIe", fix="fix")


def judge_p2p(situation: Situation) -> Check | None:
    """Peer access; GeForce cards since the RTX 30 have none without NVLink."""
    if len(situation.usable) < 2:
        return None
    known = [link.peer_access if link is not None else None for link in _pairs(situation)]
    if any(access is False for access in known):
        return check("p2p", Result.WARN, "-", fix="fix")
    return passed("p2p", "P2P") if all(known) else unknown("p2p")


def judge_pcie_link(situation: Situation) -> Check | None:
    """The slot's width and generation, by the maximum of card and slot: idle cards show less."""
    slots = [device.pcie for device in situation.usable if not device.memory_shared]
    if not slots:
        return None
    known = [slot for slot in slots if slot is not None and (slot.max_width or slot.width)]
    if not known:
        return unknown("pcie_link")
    narrow = min(known, key=lambda slot: (slot.max_width or slot.width or 0, slot.max_generation or 9))
    width = narrow.width or narrow.max_width or 0
    seen = f"PCIe {narrow.max_generation or '?'} x{width}"
    slow = (narrow.max_generation or _OLDEST_PCIE) < _OLDEST_PCIE
    below = narrow.max_width is not None and width < narrow.max_width
    if width < _FEWEST_LANES or slow or below:
        return check("pcie_link", Result.WARN, seen, fix="fix")
    return passed("pcie_link", seen)


def judge_topology_advice(situation: Situation) -> Check | None:
    """How to divide: one GPU if it fits, tensor parallel over NVLink or two cards, else pipeline."""
    count = len(situation.usable)
    if count < 2:
        return None
    answer = situation.served.answer if situation.served else None
    if answer is not None and answer.parallel.gpus == 1:
        return check("topology_advice", Result.INFO, "TP=1", fix="fix_one", gpus=count)
    joined = _all_nvlink(situation)
    seen = f"TP={answer.parallel.tp}, PP={answer.parallel.pp}" if answer is not None else str(count)
    if joined:
        return check("topology_advice", Result.INFO, seen, fix="fix_nvlink", gpus=count)
    if joined is False and count > _MOST_WITHOUT_NVLINK:
        return check("topology_advice", Result.INFO, seen, fix="fix_pipeline", gpus=count)
    return check("topology_advice", Result.INFO, seen, fix="fix_two", gpus=count)


def judge_numa(situation: Situation) -> Check | None:
    """GPUs of one tensor-parallel group on one socket."""
    if len(situation.usable) < 2:
        return None
    nodes = [device.numa_node for device in situation.usable]
    if any(node is None for node in nodes):
        return unknown("numa")
    seen = ", ".join(f"gpu{device.index}: {device.numa_node}" for device in situation.usable)
    if len(set(nodes)) > 1:
        return check("numa", Result.WARN, seen, fix="fix")
    return passed("numa", seen)


def judge_iommu_acs(situation: Situation) -> Check | None:
    """Peer traffic through a translating IOMMU can hang."""
    if len(situation.usable) < 2 or not situation.linux:
        return None
    state = situation.server.iommu if situation.server else None
    if state is None:
        return unknown("iommu_acs")
    if state == "translated":
        return check("iommu_acs", Result.WARN, state, fix="fix")
    return passed("iommu_acs", state)


def judge_nccl(situation: Situation) -> Check | None:
    """Several network interfaces: NCCL may take the wrong one."""
    if len(situation.usable) < 2:
        return None
    names = situation.server.interfaces if situation.server else None
    if names is None:
        return unknown("nccl")
    seen = ", ".join(names[:6]) or "-"
    return check("nccl", Result.WARN, seen, fix="fix") if len(names) > 1 else passed("nccl", seen)
