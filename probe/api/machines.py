"""Which machine is meant: this one, a described one, one from a file, or one from words."""

import os
from pathlib import Path
from typing import TypeAlias

from probe.errors import InputError
from probe.machine import Machine

MachineSource: TypeAlias = "Machine | str | os.PathLike[str] | None"


def live_machine(*, deadline_s: float = 5.0, make_id: bool = True) -> Machine:
    """This machine, completed from the catalog, with what `probe bench` measured on it.

    Args:
        deadline_s: all sources together; one that hangs is named in `attempts` and left behind.
        make_id: give a machine without an id one, kept in the user's state folder. False writes nothing.
    """
    from probe.benchmark.store import with_measurements
    from probe.catalog.enrich import enrich
    from probe.collectors.local_host import LocalHost
    from probe.collectors.machine_identity import state_folder
    from probe.collectors.run import scan_machine

    found = scan_machine(LocalHost(make_id=make_id), deadline_s=deadline_s)
    return enrich(with_measurements(found, state_folder()))


def machine_of(machine: MachineSource, as_: str | None, *, make_id: bool = True) -> Machine:
    """The machine, completed from the catalog where it could not say itself; None and None: this one.

    Raises:
        InputError: both are given, or one of them is wrong.
    """
    if machine is not None and as_ is not None:
        raise InputError("cli.usage.two_machines")
    if machine is None and as_ is None:
        return live_machine(make_id=make_id)
    from probe.catalog.enrich import enrich

    if as_ is not None:
        from probe.catalog.from_spec import from_spec

        if not isinstance(as_, str):
            raise InputError("cli.usage.no_text", option="as_", text=repr(as_)[:40])
        return enrich(from_spec(as_))
    if isinstance(machine, Machine):
        return enrich(machine)
    from probe.report.read import read_machine

    if not isinstance(machine, (str, os.PathLike)):
        raise InputError("cli.usage.no_text", option="machine", text=repr(machine)[:40])
    path = os.fspath(machine)
    if not isinstance(path, str) or "\0" in path:
        raise InputError("reading.file_missing", path=ascii(path))
    return enrich(read_machine(Path(path)))
