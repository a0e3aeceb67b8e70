"""Build everything that people can get: `python scripts/release/build_all.py [--out DIR] [--only NAMES]`.

Wheel, source distribution, probe.pyz, this system's single-file executable and the
offline bundle, made from the last commit into `dist/`, with SHA256SUMS and a table of
sizes and start times (`--table` writes it into the README). `--twice` builds a second
time and fails when a byte differs.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from scripts.release.build_bundle import build_bundle
from scripts.release.build_executable import GlibcNeed, build_executable, executable_name, glibc_needs
from scripts.release.build_pyz import build_pyz
from scripts.release.measure import Measured, measure, table, write_table
from scripts.release.sources import (
    build_distributions,
    export_sources,
    last_commit,
    make_environment,
    uncommitted_changes,
)
from scripts.release.wheelhouse import ReleaseError, fetch, file_hash, pip

KINDS = ("wheel", "pyz", "executable", "bundle")
TEXTS = ("LICENSE", "THIRD_PARTY.md")


def say(text: str) -> None:
    """Progress, for people: stdout holds the table alone."""
    print(text, file=sys.stderr, flush=True)


def build(output: Path, kinds: frozenset[str], commit: str) -> list[Path]:
    """Build the wanted kinds of a commit into `output`; the files in the order of the table.

    Raises:
        ReleaseError: one of them cannot be built.
    """
    output.mkdir(parents=True, exist_ok=True)
    built: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="probe-release-") as scratch:
        sources, made = Path(scratch) / "sources", Path(scratch) / "made"
        sources.mkdir()
        epoch = export_sources(sources, commit)
        say("wheel and source distribution ...")
        wheel, sdist = build_distributions(sources, made, epoch=epoch)
        if "wheel" in kinds:
            built += [_keep(wheel, output), _keep(sdist, output)]
        if kinds - {"wheel"}:
            say("wheels of the dependencies, for every system and Python ...")
            wheels = fetch()
        if "pyz" in kinds:
            say("probe.pyz ...")
            build_pyz(wheel, wheels, output / "probe.pyz")
            built.append(output / "probe.pyz")
        if "executable" in kinds:
            say("single-file executable, about half a minute ...")
            build_executable(wheel, wheels, output / executable_name(), epoch=epoch)
            built.append(output / executable_name())
        if "bundle" in kinds:
            say("offline bundle ...")
            version = wheel.name.split("-")[1]
            bundle = output / f"probe-{version}-offline.zip"
            build_bundle(wheel, wheels, bundle, texts=[sources / name for name in TEXTS])
            built.append(bundle)
        for name in TEXTS:
            shutil.copyfile(sources / name, output / name)
    return built


def write_sums(output: Path, built: list[Path]) -> None:
    """SHA256SUMS of everything built, in the form that `sha256sum --check` reads."""
    lines = [f"{file_hash(path)}  {path.name}\n" for path in sorted(built)]
    (output / "SHA256SUMS").write_text("".join(lines), encoding="ascii", newline="\n")


def compare_builds(first: list[Path], output: Path, kinds: frozenset[str], commit: str) -> list[str]:
    """Build again elsewhere; the names of files that came out different.

    Raises:
        ReleaseError: the second build failed.
    """
    second = build(output, kinds, commit)
    return [one.name for one, other in zip(first, second, strict=True) if file_hash(one) != file_hash(other)]


def need_of(output: Path) -> GlibcNeed:
    """What the executable in `output` asks of glibc."""
    return glibc_needs(output / executable_name())[0]


def version_of(text: str) -> tuple[int, ...]:
    """`2.28` as numbers."""
    return tuple(int(part) for part in text.split("."))


def measure_all(built: list[Path]) -> str:
    """The table of what was built.

    Raises:
        ReleaseError: an artefact does not start.
    """
    rows: list[Measured] = []
    notes = ["First start of `probe.pyz`: it unpacks its libraries into the user's cache once."]
    with tempfile.TemporaryDirectory(prefix="probe-wheel-") as scratch:
        for path in built:
            if path.suffix == ".whl":
                python = make_environment(Path(scratch) / "environment")
                pip("install", str(path), python=str(python))
                program = str(python.with_name("probe.exe" if sys.platform == "win32" else "probe"))
                rows.append(measure(f"`{path.name}`", "pip, pipx, uv", path, [program]))
            elif path.name.endswith(".tar.gz"):
                rows.append(measure(f"`{path.name}`", "packagers", path, None))
            elif path.suffix == ".pyz":
                command = [sys.executable, str(path)]
                rows.append(measure(f"`{path.name}`", "any PC with Python >= 3.10", path, command))
            elif path.suffix == ".zip":
                rows.append(measure(f"`{path.name}`", "closed networks", path, None))
            else:
                rows.append(measure(f"`{path.name}`", "no Python at all", path, [str(path)]))
                if sys.platform == "linux":
                    need = glibc_needs(path)[0]
                    notes.append(f"This executable needs glibc {'.'.join(map(str, need.version))} or newer.")
    return table(rows, notes=notes)


def main() -> int:
    """Build, compare, measure; 0 when everything wanted was built."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the files (dist)")
    parser.add_argument("--only", default=",".join(KINDS), help=f"some of {','.join(KINDS)}")
    parser.add_argument("--twice", action="store_true", help="build again and compare the bytes")
    parser.add_argument("--max-glibc", metavar="VERSION", help="fail when the executable needs a newer one")
    parser.add_argument("--no-times", action="store_true", help="start nothing, print no table")
    parser.add_argument("--table", action="store_true", help="write the table into README.md")
    arguments = parser.parse_args()
    kinds = frozenset(arguments.only.split(","))
    if kinds - set(KINDS):
        parser.error(f"unknown: {', '.join(sorted(kinds - set(KINDS)))}")
    started = time.monotonic()
    try:
        if changed := uncommitted_changes():
            say(f"note: {changed} files differ from the last commit; the artefacts hold the commit")
        commit = last_commit()
        built = build(arguments.out, kinds, commit)
        write_sums(arguments.out, built)
        if "executable" in kinds and sys.platform == "linux":
            for need in glibc_needs(arguments.out / executable_name())[:4]:
                say(f"glibc needed: {need}")
            if arguments.max_glibc and need_of(arguments.out).version > version_of(arguments.max_glibc):
                say(f"build_all: the executable needs a newer glibc than {arguments.max_glibc}")
                return 1
        if arguments.twice:
            with tempfile.TemporaryDirectory(prefix="probe-again-") as again:
                different = compare_builds(built, Path(again), kinds, commit)
            say(f"second build: {', '.join(different) + ' differ' if different else 'every byte the same'}")
            # Proven for Linux; what PyInstaller writes into files for Windows and macOS was not compared.
            if set(different) - (set() if sys.platform == "linux" else {executable_name()}):
                return 1
        if not arguments.no_times:
            text = measure_all(built)
            print(text, end="")
            if arguments.table:
                write_table(ROOT / "README.md", text)
        say(f"{len(built)} files in {arguments.out} after {time.monotonic() - started:.0f} s")
    except ReleaseError as error:
        say(f"build_all: {error}")
        return 1
    except KeyboardInterrupt:
        say("build_all: interrupted; half-made files were removed")
        with contextlib.suppress(OSError):
            for part in arguments.out.glob("*.part"):
                part.unlink()
        return 130
    return 0


def _keep(path: Path, output: Path) -> Path:
    part = output / (path.name + ".part")
    shutil.copyfile(path, part)
    return part.replace(output / path.name)


if __name__ == "__main__":
    sys.exit(main())
