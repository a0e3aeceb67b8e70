"""Writes THIRD_PARTY.md: what else is inside our files: `python scripts/release/licences.py [--check]`.

Licences of the Python packages come from their own metadata, those of the data from
data_sources.toml, whose every entry must be named by a row of `catalogs/`. `--check`
writes nothing and exits 1 when the file is stale; licences are compared only where the
locked wheels have been fetched.
"""

import csv
import json
import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from scripts.release.wheelhouse import CACHE, ReleaseError, fetch, read_lock, read_wheel_name

PAGE = ROOT / "THIRD_PARTY.md"
SOURCES = Path(__file__).with_name("data_sources.toml")
_CLASSIFIERS = {"MIT License": "MIT", "BSD License": "BSD-3-Clause", "Apache Software License": "Apache-2.0"}
_HEAD = """# What else is inside

probe itself is under Apache-2.0 (LICENSE). The wheel holds no other code. `probe.pyz`, the executable and
the offline bundle carry the packages below, each with its own licence text.
Written by `scripts/release/licences.py`.

## Python packages
| package | version | licence |
| --- | --- | --- |
"""
_EXECUTABLE = """
The executable also holds CPython and its libraries (PSF-2.0; zlib, bzip2, xz (0BSD), libffi (MIT), expat
(MIT), where Python was built with them) and the starter of PyInstaller (GPL-2.0-or-later with an exception
that allows any licence for what it starts).

## Data
Figures and names only; every row of `catalogs/` names its own source and date.

| source | taken over | licence of the source |
| --- | --- | --- |
"""


def package_licence(wheel: Path) -> str:
    """The licence that a wheel's own metadata states, as an SPDX expression where it does."""
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(packed.read(name).decode("utf-8"))
    stated = metadata.get("License-Expression") or metadata.get("License") or ""
    if stated and "\n" not in stated and len(stated) <= 40:
        return {"MIT License": "MIT", "BSD": "BSD-3-Clause", "ISC License": "ISC"}.get(stated, stated)
    found = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if "License ::" in line
    ]
    return ", ".join(_CLASSIFIERS.get(name, name) for name in found) or "see its metadata"


def known_licences() -> dict[str, str]:
    """Licence of every locked package: read from fetched wheels, else as the page states it now."""
    stated: dict[str, str] = {}
    if PAGE.exists():
        rows = (line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines())
        stated = {cells[1].strip(): cells[3].strip() for cells in rows if len(cells) == 5}
    wheels = [read_wheel_name(path) for path in (CACHE / "wheels").glob("*.whl")]
    versions = {package.name: package.version for package in read_lock()}
    current = (wheel for wheel in wheels if versions.get(wheel.name) == wheel.version)
    return {**stated, **{wheel.name: package_licence(wheel.path) for wheel in current}}


def mentions() -> Iterator[str]:
    """Every source that a row of the catalogs names."""
    for path in sorted((ROOT / "catalogs").rglob("*")):
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    yield from (row[key] for key in ("source", "source_url") if row.get(key))
        elif path.suffix == ".json" and "schema" not in path.parts:
            yield from _sources_in(json.loads(path.read_text(encoding="utf-8")))
        elif path.suffix == ".toml":
            yield from _sources_in(_toml(path))


def _sources_in(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _sources_in(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _sources_in(inner, key)
    elif isinstance(value, str) and key in ("source", "sources", "source_url"):
        yield value


def _toml(path: Path) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(path.read_text(encoding="utf-8"))


def page() -> str:
    """The whole file.

    Raises:
        ReleaseError: the licence of a locked package is not known, or a source of data has no row.
    """
    licences = known_licences()
    lines = []
    for package in read_lock():
        if package.name not in licences:
            raise ReleaseError(f"licence of {package.name} unknown: run scripts/release/wheelhouse.py first")
        lines.append(f"| {package.name} | {package.version} | {licences[package.name]} |\n")
    found = list(mentions())
    rows = []
    for source in _toml(SOURCES)["source"]:
        if not any(word in text for text in found for word in source["words"]):
            raise ReleaseError(f"no row of catalogs/ names {source['title']}: remove it from {SOURCES.name}")
        rows.append(f"| {source['title']} | {source['taken']} | {source['licence']} |\n")
    return _HEAD + "".join(lines) + _EXECUTABLE + "".join(rows)


def main() -> int:
    """Write or compare the page."""
    try:
        if "--check" not in sys.argv[1:]:
            fetch()
        text = page()
    except ReleaseError as error:
        print(f"licences: {error}", file=sys.stderr)
        return 1
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print(f"stale, run scripts/release/licences.py: {PAGE.name}")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
