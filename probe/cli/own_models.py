"""Models that a user added with `probe catalog add`: rows in the user's own folder."""

from pathlib import Path


def own_models_folder() -> Path | None:
    """Where added rows lie, or None where this system has no such place."""
    from probe.collectors.machine_identity import state_folder

    folder = state_folder()
    return None if folder is None else folder / "models"


def use_own_models() -> None:
    """From now on added rows belong to the catalog; without any, nothing is read."""
    folder = own_models_folder()
    if folder is not None and folder.is_dir():
        from probe.catalog.models import use_overlay

        use_overlay(folder)
