"""Fails unless tag, package and changelog name one version: `check_version.py v1.2.3`."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def package_version() -> str:
    """The version in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    return found[1] if found else ""


def released_versions() -> list[str]:
    """Versions with a dated heading in the changelog, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)


def main() -> int:
    """0 when they agree."""
    tag = sys.argv[1] if len(sys.argv) > 1 else f"v{package_version()}"
    code = re.search(r'__version__.*?"([^"]+)"', (ROOT / "probe/__init__.py").read_text(encoding="utf-8"))
    newest = next(iter(released_versions()), "none")
    found = {"tag": tag.removeprefix("v"), "pyproject.toml": package_version(), "CHANGELOG.md": newest}
    if code:
        found["probe/__init__.py"] = code[1]
    if len(set(found.values())) > 1:
        print("versions differ:", ", ".join(f"{where} {version}" for where, version in found.items()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
