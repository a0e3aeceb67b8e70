"""Finding programs and Python packages on this machine by looking at folders, without starting anything."""

import os
import sys
from collections.abc import Iterable
from typing import Final

_MOST_FOLDERS: Final = 100  # a PATH that is longer is broken


def find_program(name: str) -> str | None:
    """The file that PATH gives for `name`, links followed; None when there is none we may start."""
    suffixes = (".exe", ".cmd", ".bat") if sys.platform == "win32" else ("",)
    for folder in os.environ.get("PATH", "").split(os.pathsep)[:_MOST_FOLDERS]:
        if not folder:
            continue
        for suffix in suffixes:
            path = os.path.join(folder, name + suffix)  # noqa: PTH118 - hundreds of them: plain strings are cheap
            if os.access(path, os.X_OK) and os.path.isfile(path):  # noqa: PTH113 - likewise
                return os.path.realpath(path)
    return None


def may_use(path: str) -> bool:
    """Whether this user may read and write a device, without opening it: opening wakes it up."""
    return os.access(path, os.R_OK | os.W_OK)


def installed_packages(names: Iterable[str]) -> dict[str, str]:
    """Versions of the named packages in the environment this program runs in."""
    found: dict[str, str] = {}
    for folder in sys.path:
        if folder.endswith(("site-packages", "dist-packages")):
            try:
                entries = os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
            except OSError:
                continue
            found = {**package_versions(entries, names), **found}
    return found


def package_versions(entries: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Versions of the named packages by the names of what lies in a site-packages folder."""
    wanted = {_plain(name): name for name in names}
    found: dict[str, str] = {}
    for entry in entries:
        if not entry.endswith((".dist-info", ".egg-info")):
            continue
        # name-version.dist-info; eggs add -py3.12; neither name nor version holds a hyphen there
        parts = entry[: -len(".dist-info")].split("-")
        name = wanted.get(_plain(parts[0])) if len(parts) > 1 else None
        if name is not None:
            found[name] = parts[1]
    return found


def _plain(name: str) -> str:
    """One spelling for `mlx-lm`, `mlx_lm` and `MLX.lm` (PEP 503)."""
    return name.replace("_", "-").replace(".", "-").lower()
