"""Programs that permissions bind, also where the tests run as root."""

import os
import shutil
import subprocess
from functools import cache

_WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


@cache
def bound_by_permissions() -> tuple[str, ...] | None:
    """What to put before a command; None where root cannot lay its privilege down, and on Windows."""
    if os.name == "nt":
        return None
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        return None
    works = subprocess.run([*_WITHOUT_PRIVILEGE, "true"], capture_output=True, check=False).returncode == 0
    return _WITHOUT_PRIVILEGE if works else None
