"""NVML answers written down and replayed: one mapping a device, getter to value.

A getter with arguments is written with them: `nvmlDeviceGetMaxClockInfo 2`,
`nvmlDeviceGetP2PStatus gpu1 0`. An error is `{"error": 3}`. A device may say
`"like": "gpu0"` (the same answers except those written) and `"otherwise":
{"error": 3}` (what every other getter answers).
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from probe.collectors import nvml_session as codes
from probe.collectors.nvml_session import Argument, NvmlDevice, NvmlError, NvmlSession, NvmlValue

_SYSTEM = "system"


def _key(arguments: tuple[Argument, ...]) -> tuple[str, str]:
    """(device that is asked, the other arguments as text)."""
    device = _SYSTEM
    rest = list(arguments)
    if rest and isinstance(rest[0], NvmlDevice):
        device = rest.pop(0).key  # type: ignore[union-attr]  # narrowed on the line before
    words = [item.key if isinstance(item, NvmlDevice) else str(item) for item in rest]
    return device, "".join(f" {word}" for word in words)


class ReplayedNvml:
    """An NvmlSession from a recording."""

    def __init__(self, recording: Mapping[str, Any], unrecorded: Callable[[str, str], BaseException]) -> None:
        self._recording = recording
        self._unrecorded = unrecorded

    @property
    def library(self) -> str:
        """As recorded."""
        return str(self._recording.get("library", "libnvidia-ml.so.1"))

    def ask(self, getter: str, *arguments: Argument) -> NvmlValue | NvmlError:
        """See NvmlSession.ask."""
        device, rest = _key(arguments)
        answers = self._recording.get(_SYSTEM, {}) if device == _SYSTEM else self._answers(device)
        asked = getter + rest
        if asked in answers:
            return _value(answers[asked])
        if "otherwise" in answers:
            return _value(answers["otherwise"])
        raise self._unrecorded("NVML getter", f"{device} {asked}")

    def device(self, index: int) -> NvmlDevice | NvmlError:
        """See NvmlSession.device."""
        return self._handle(f"gpu{index}")

    def mig_device(self, parent: NvmlDevice, index: int) -> NvmlDevice | NvmlError:
        """See NvmlSession.mig_device; slices that are not written are empty places."""
        key = f"{parent.key}/mig{index}"
        return self._handle(key) if key in self._devices() else NvmlError(codes.NOT_FOUND)

    def close(self) -> None:
        """Nothing to shut down."""

    def _devices(self) -> Mapping[str, Any]:
        devices: Mapping[str, Any] = self._recording.get("devices", {})
        return devices

    def _handle(self, key: str) -> NvmlDevice | NvmlError:
        entry = self._devices().get(key)
        if entry is None:
            raise self._unrecorded("NVML device", key)
        value = _value(entry)
        return value if isinstance(value, NvmlError) else NvmlDevice(key)

    def _answers(self, device: str) -> Mapping[str, Any]:
        answers: dict[str, Any] = dict(self._devices().get(device, {}))
        like = answers.pop("like", None)
        return {**self._answers(like), **answers} if like else answers


class RecordingNvml:
    """Asks another session and keeps every answer in `taken`."""

    def __init__(self, inner: NvmlSession) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self.taken: dict[str, Any] = {"library": inner.library, _SYSTEM: {}, "devices": {}}

    @property
    def library(self) -> str:
        """That of the session asked."""
        return self._inner.library

    def ask(self, getter: str, *arguments: Argument) -> NvmlValue | NvmlError:
        """See NvmlSession.ask."""
        device, rest = _key(arguments)
        # Stands if the getter never comes back.
        self._keep(device, getter + rest, {"error": codes.TIMEOUT})
        value = self._inner.ask(getter, *arguments)
        self._keep(device, getter + rest, _written(value))
        return value

    def device(self, index: int) -> NvmlDevice | NvmlError:
        """See NvmlSession.device."""
        return self._handle(f"gpu{index}", self._inner.device(index))

    def mig_device(self, parent: NvmlDevice, index: int) -> NvmlDevice | NvmlError:
        """See NvmlSession.mig_device."""
        slice_ = self._inner.mig_device(parent, index)
        if isinstance(slice_, NvmlError) and slice_.code == codes.NOT_FOUND:
            return slice_
        return self._handle(f"{parent.key}/mig{index}", slice_)

    def close(self) -> None:
        """Closes the session asked."""
        self._inner.close()

    def _handle(self, key: str, device: NvmlDevice | NvmlError) -> NvmlDevice | NvmlError:
        with self._lock:
            if isinstance(device, NvmlError):
                self.taken["devices"][key] = _written(device)
            else:
                self.taken["devices"].setdefault(key, {})
        return device

    def _keep(self, device: str, asked: str, value: Any) -> None:
        with self._lock:
            place = self.taken[_SYSTEM] if device == _SYSTEM else self.taken["devices"].setdefault(device, {})
            place[asked] = value


def _value(entry: Any) -> NvmlValue | NvmlError:
    if isinstance(entry, dict) and "error" in entry:
        return NvmlError(int(entry["error"]), str(entry.get("detail", "")))
    value: NvmlValue = entry
    return value


def _written(value: NvmlValue | NvmlError) -> Any:
    if isinstance(value, NvmlError):
        return {"error": value.code, **({"detail": value.detail} if value.detail else {})}
    return value
