"""Where our data lies: beside the package in a checkout, inside it in a wheel."""

from functools import cache
from pathlib import Path

from probe.errors import CatalogError

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def data_folder(name: str) -> Path:
    """The folder `catalogs` or `reports` of this installation.

    Raises:
        CatalogError: it is in neither place, so the installation is damaged.
    """
    for folder in (_PACKAGE / "data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise CatalogError("input.data_missing", path=str(_PACKAGE / "data" / name))


def read_data(name: str) -> bytes:
    """Bytes of one data file, e.g. `catalogs/models/models.json`.

    Raises:
        CatalogError: it cannot be read.
    """
    top, _, rest = name.partition("/")
    path = data_folder(top) / rest
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogError("input.data_missing", path=str(path)) from error
