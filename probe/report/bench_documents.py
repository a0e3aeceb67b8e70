"""`probe bench --json`: what was measured, and real engine runs beside our estimate."""

import msgspec

from probe.machine import Range
from probe.machine.description import Measurement
from probe.messages.reason import Reason
from probe.report.documents import SCHEMA_VERSION


class BenchRun(msgspec.Struct, frozen=True, kw_only=True):
    """One engine and model: measured beside estimated, tokens a second.

    `estimated` is what we said before measuring, `calibrated` what we say now. None where
    the model or the device is not known to us.
    """

    engine: str
    version: str | None
    model: str
    quantization: str | None
    device: str | None
    threads: int | None
    prompt_tokens: int
    generated_tokens: int
    decode_measured: Range | None
    decode_estimated: Range | None
    decode_calibrated: Range | None
    prompt_measured: Range | None
    prompt_estimated: Range | None
    prompt_calibrated: Range | None
    error: str | None = None


class BenchDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="bench"):
    """Everything one run of `probe bench` measured."""

    schema_version: str = SCHEMA_VERSION
    machine_name: str | None
    measurements: tuple[Measurement, ...]
    runs: tuple[BenchRun, ...]
    notes: tuple[str, ...]
    note_codes: tuple[Reason, ...]
    stored: bool
    stale: int  # measurements of before the hardware or driver changed, no longer used
