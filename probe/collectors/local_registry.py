"""Reading the Windows registry as the user we are."""

import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

from probe.collectors.answers import Failure, RegistryValue
from probe.machine.attempt import AttemptResult

_T = TypeVar("_T")
_MOST_ENTRIES = 4096  # a key with more is none of those we read


def registry_values(key: str) -> Mapping[str, RegistryValue] | Failure:
    """All values of a key: integers, text, bytes or lists of text; other types are left out."""
    return _guarded(lambda: _values(key))


def registry_keys(key: str) -> tuple[str, ...] | Failure:
    """Names of the keys under a key."""
    return _guarded(lambda: _keys(key))


def _guarded(read: Callable[[], _T]) -> _T | Failure:
    try:
        return read()
    except NotImplementedError:
        return Failure(AttemptResult.ABSENT, "this system has no registry")
    except FileNotFoundError:
        return Failure(AttemptResult.ABSENT, "no such key")
    except PermissionError:
        return Failure(AttemptResult.DENIED, "key may not be read")
    except OSError as error:
        return Failure(AttemptResult.FAILED, f"{type(error).__name__} {error.errno}")


if sys.platform == "win32":
    import winreg

    _ROOTS = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}

    def _open(key: str) -> winreg.HKEYType:
        root, _, path = key.partition("\\")
        # The 64-bit view, also from a 32-bit Python.
        return winreg.OpenKey(_ROOTS[root], path, access=winreg.KEY_READ | winreg.KEY_WOW64_64KEY)

    def _values(key: str) -> Mapping[str, RegistryValue]:
        values: dict[str, RegistryValue] = {}
        with _open(key) as handle:
            for position in range(_MOST_ENTRIES):
                try:
                    name, value, _ = winreg.EnumValue(handle, position)
                except OSError:
                    break
                if isinstance(value, int | str | bytes):
                    values[name] = value
                elif isinstance(value, list):
                    values[name] = tuple(str(item) for item in value)
        return values

    def _keys(key: str) -> tuple[str, ...]:
        names: list[str] = []
        with _open(key) as handle:
            for position in range(_MOST_ENTRIES):
                try:
                    names.append(winreg.EnumKey(handle, position))
                except OSError:
                    break
        return tuple(names)

else:

    def _values(key: str) -> Mapping[str, RegistryValue]:
        raise NotImplementedError(key)

    def _keys(key: str) -> tuple[str, ...]:
        raise NotImplementedError(key)
