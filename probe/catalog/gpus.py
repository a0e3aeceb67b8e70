"""GPUs of the catalog: all rows, the strict match for detected ones, the loose search for typed ones."""

from probe.catalog.gpu_match import match_apple_gpu, match_gpu
from probe.catalog.gpu_rows import GPU_VENDORS, GpuForm, GpuSpec, all_gpus, gpus_of, pci_vendor
from probe.catalog.gpu_search import GpuBoard, find_board, find_gpu, short_name

__all__ = [
    "GPU_VENDORS",
    "GpuBoard",
    "GpuForm",
    "GpuSpec",
    "all_gpus",
    "find_board",
    "find_gpu",
    "gpus_of",
    "match_apple_gpu",
    "match_gpu",
    "pci_vendor",
    "short_name",
]
