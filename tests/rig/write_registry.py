"""Run by the Windows interpreter: writes the registry keys of a JSON file (see tests/machines/README.md)."""

import base64
import json
import sys
import winreg
from pathlib import Path
from typing import Any

ROOTS = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}


def typed(value: Any) -> tuple[int, Any]:
    """Type and value: sizes above 32 bits as QWORD, lists of text, raw bytes."""
    if isinstance(value, int):
        return (winreg.REG_QWORD if value >= 2**32 else winreg.REG_DWORD), value
    if isinstance(value, list):
        return winreg.REG_MULTI_SZ, value
    if isinstance(value, dict):
        return winreg.REG_BINARY, base64.b64decode(value["base64"])
    return winreg.REG_SZ, value


for key, values in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).items():
    root, _, path = key.partition("\\")
    with winreg.CreateKey(ROOTS[root], path) as handle:
        for name, value in values.items():
            kind, plain = typed(value)
            winreg.SetValueEx(handle, name, 0, kind, plain)
print("written")
