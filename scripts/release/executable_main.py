"""Start of the single-file executable: probe, or one of the children that probe starts from itself."""

import runpy
import sys
from pathlib import Path

# Modules that probe runs in a process of their own, because a broken driver takes its caller with it.
CHILDREN = {
    ("collectors", "cuda_child.py"): "probe.collectors.cuda_child",
    ("benchmark", "cuda_child.py"): "probe.benchmark.cuda_child",
}


def main() -> None:
    """`-I FILE ARGUMENTS` runs a child as Python would; everything else is probe's command line."""
    if len(sys.argv) > 2 and sys.argv[1] == "-I":
        path = Path(sys.argv[2])
        child = CHILDREN.get((path.parent.name, path.name))
        if child is not None:
            sys.argv = [sys.argv[2], *sys.argv[3:]]
            runpy.run_module(child, run_name="__main__")
            return
    from probe.cli.main import run

    run()


if __name__ == "__main__":
    main()
