"""A second model that is loaded all the time (`--with`): what it leaves of the pools for others."""

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.errors import InputError
from probe.estimate.breakdown import MemoryBreakdown
from probe.machine import Machine
from probe.recommender.answer import Estimate
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.recommender.pools import Pool, Pools
from probe.recommender.quantization_choice import best_quantization


def companion(machine: Machine, options: Options) -> Estimate | None:
    """Where the `--with` model goes when it has the machine to itself; None where none was asked.

    It is placed first, in the quantization that would be taken for it alone; the
    `--quant`, `--context` and `--parallel` of the request are for the other model.

    Raises:
        InputError: it does not fit, so that nothing can run beside it.
        UnknownNameError, AmbiguousNameError: the name means no model, or several.
    """
    if options.with_model is None:
        return None
    spec = companion_spec(options)
    alone = Options(reserve_bytes=options.reserve_bytes)
    estimator = Estimator(machine, alone)
    chosen = best_quantization(spec, lambda name: estimator.estimate(spec, name, full=False))
    if not chosen.fits:
        raise InputError("answer.with.no_room", model=spec.name)
    return estimator.estimate(spec, chosen.quantization, full=True)


def companion_spec(options: Options) -> ModelSpec:
    """The row of the `--with` model: the user's own file, else the catalog's."""
    return options.with_spec or find_model(options.with_model or "")


def estimator_beside(machine: Machine, options: Options, beside: Estimate | None) -> Estimator:
    """The estimator for what is left beside `beside`; with None, for the whole machine."""
    estimator = Estimator(machine, options)
    if beside is not None:
        estimator.pools = without(estimator.pools, beside.memory)
    return estimator


def without(pools: Pools, taken: MemoryBreakdown) -> Pools:
    """The pools less what one model takes of each; a GPU inside RAM and the CPU share one pool."""
    own = {device.device: device.total_bytes or 0 for device in taken.per_device}
    shared = sum(size for device, size in own.items() if device == "cpu" or pools.by_device(device).in_ram)
    return msgspec.structs.replace(
        pools,
        cpu=_less(pools.cpu, shared),
        gpus=tuple(_less(pool, shared if pool.in_ram else own.get(pool.device, 0)) for pool in pools.gpus),
    )


def _less(pool: Pool, taken: int) -> Pool:
    def left(size: int | None) -> int | None:
        return None if size is None else max(0, size - taken)

    return msgspec.structs.replace(
        pool,
        capacity_bytes=left(pool.capacity_bytes),
        capacity_low_bytes=left(pool.capacity_low_bytes),
        free_bytes=left(pool.free_bytes),
        reserve_bytes=pool.reserve_bytes + taken,
    )
