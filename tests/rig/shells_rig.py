"""zsh and fish by apt, about 25 MB: the shells in which the Tab key is tested beside bash."""

import shutil

from tests.rig.rollout_rig import apt_install

SHELLS = ("zsh", "fish")


def install() -> str:
    """Install what is missing; a line about what is there.

    Raises:
        RigMissingError: apt could not deliver.
    """
    missing = [shell for shell in SHELLS if shutil.which(shell) is None]
    if missing:
        apt_install(*missing)
    return " and ".join(SHELLS)
