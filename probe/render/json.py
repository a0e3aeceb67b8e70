"""A document as JSON: always UTF-8, whatever the console speaks."""

from probe.report.encode import to_json


def render_json(document: object) -> bytes:
    """One UTF-8 JSON text ending in a newline."""
    return to_json(document)
