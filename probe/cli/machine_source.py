"""Which machine a command is about: this one, one from a file, or one from words."""

from pathlib import Path

from probe.cli.session import Session
from probe.cli.slow_notice import slow_notice
from probe.errors import InputError
from probe.machine import Machine


def machine_of(
    machine_file: Path | None, spec: str | None, *, session: Session, record: Path | None = None
) -> Machine:
    """The machine, completed from the catalog where it could not say itself.

    Args:
        record: folder that gets a redacted recording of what this machine answered.

    Raises:
        InputError: both a file and words are given, or one of them is wrong.
    """
    if record is not None and (machine_file is not None or spec is not None):
        raise InputError("cli.usage.record_needs_live")
    if machine_file is not None or spec is not None:
        from probe.api.machines import machine_of as described_machine

        return described_machine(machine_file, spec)
    from probe.catalog.enrich import enrich

    return enrich(_measured(_live(session, record=record)))


def scanned_machine(session: Session) -> Machine:
    """This machine as it was found, nothing added: what measurements are fingerprinted on."""
    return _live(session, record=None)


def _measured(machine: Machine) -> Machine:
    """The machine with what `probe bench` measured on it and still holds."""
    from probe.benchmark.store import with_measurements
    from probe.collectors.machine_identity import state_folder

    return with_measurements(machine, state_folder())


def _live(session: Session, *, record: Path | None) -> Machine:
    from probe.collectors.local_host import LocalHost
    from probe.collectors.run import scan_machine

    if record is None:
        with slow_notice("cli.talk.scanning", session):
            return scan_machine(LocalHost())
    from probe.collectors.recording_host import RecordingHost

    recorder = RecordingHost(LocalHost(), record)
    with slow_notice("cli.talk.scanning", session):
        machine = scan_machine(recorder)
    try:
        recorder.save(whole=all(attempt.code != "abandoned" for attempt in machine.attempts))
    except OSError as error:
        raise InputError("cli.output.unwritable", path=str(record)) from error
    return machine
