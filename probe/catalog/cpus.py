"""Processors of the catalog: families, the match for detected brands, the search for typed names, priors."""

from probe.catalog.cpu_rows import (
    CoreCount,
    CpuForm,
    CpuSpec,
    MemoryOption,
    MemoryPopulation,
    all_cpus,
    form_population,
    match_cpu,
)
from probe.catalog.cpu_search import TypedCpu, cores_of, find_cpu, find_cpu_model

__all__ = [
    "CoreCount",
    "CpuForm",
    "CpuSpec",
    "MemoryOption",
    "MemoryPopulation",
    "TypedCpu",
    "all_cpus",
    "cores_of",
    "find_cpu",
    "find_cpu_model",
    "form_population",
    "match_cpu",
]
