"""One row of the catalog by the name a person types: a model first, then GPUs, processors, NPUs."""

from collections.abc import Callable

from probe.catalog.cpus import find_cpu
from probe.catalog.gpus import find_gpu
from probe.catalog.models import find_model
from probe.catalog.npus import all_npus
from probe.errors import AmbiguousNameError, InputError, UnknownNameError
from probe.report.catalog_documents import CatalogEntryDocument


def catalog_entry(name: str) -> CatalogEntryDocument:
    """The row that `name` means, with its sources.

    Raises:
        AmbiguousNameError: several rows that differ answer to it.
        UnknownNameError: none does; the nearest names of all kinds are suggested.
    """
    suggestions: list[str] = []
    finders: tuple[Callable[[str], CatalogEntryDocument], ...] = (
        lambda text: CatalogEntryDocument(model=find_model(text)),
        lambda text: CatalogEntryDocument(gpu=find_gpu(text)),
        lambda text: CatalogEntryDocument(cpu=find_cpu(text)),
    )
    for find in finders:
        try:
            return find(name)
        except AmbiguousNameError:
            raise
        except UnknownNameError as error:
            suggestions += error.suggestions[:2]
        except InputError:
            continue  # a GPU name with a wrong memory size: another kind may fit
    lowered = name.strip().lower()
    for row in all_npus():
        if row.name.lower() == lowered:
            return CatalogEntryDocument(npu=row)
    key = "cli.catalog.nothing_named_near" if suggestions else "cli.catalog.nothing_named"
    raise UnknownNameError(key, name, tuple(dict.fromkeys(suggestions)))
