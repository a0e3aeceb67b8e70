"""The bound that no engine can beat: bytes read per token over memory bandwidth."""

from probe.estimate.speed_device import SpeedDevice


def decode_limit(devices: tuple[SpeedDevice, ...], *, together: bool = False) -> float | None:
    """Tokens a second if memory were read at its full rate and nothing else cost time.

    Args:
        together: the devices read at the same time (tensor split) instead of one after the other.

    Returns None where a bandwidth is not known or nothing is read.
    """
    times = []
    for device in devices:
        size = device.active_weight_bytes + device.kv_bytes
        if not size:
            continue
        rate = reading_rate(device)
        if not rate:
            return None
        times.append(size / rate)
    total = max(times, default=0.0) if together else sum(times)
    return 1 / total if total else None


def reading_rate(device: SpeedDevice) -> float | None:
    """Bytes a second at which the device's engine reads this memory: the slower of memory and link."""
    memory = device.bandwidth.value if device.bandwidth else None
    if device.device != "c2c":
        return memory
    link = device.link_bytes_per_s
    known = [rate for rate in (memory, link) if rate]
    return min(known) if known else None
