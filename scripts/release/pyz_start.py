# First file of probe.pyz that runs: whatever Python there is must be able to read it.
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - that is the point
    sys.exit("probe.pyz needs Python 3.10 or newer; this is " + sys.version.split()[0])

from pyz_main import main  # type: ignore[import-not-found]  # beside this file in the archive

main()
