"""What LLMs can this machine run? Reads the hardware and answers truly, in Korean and English.

`probe.scan()`, `probe.check("qwen3-8b")` and `probe.recommend()` answer from Python;
`import probe` itself loads nothing of them.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from probe.api.answers import check, recommend, scan, to_json
    from probe.api.failures import error_text
    from probe.api.types import (
        ByteRange,
        Check,
        Estimate,
        Finding,
        Machine,
        ModelSpec,
        Range,
        Recommendation,
        Report,
        Verdict,
    )
    from probe.errors import (
        AmbiguousNameError,
        CatalogError,
        InputError,
        ProbeError,
        UnknownNameError,
    )

__all__ = [
    "AmbiguousNameError",
    "ByteRange",
    "CatalogError",
    "Check",
    "Estimate",
    "Finding",
    "InputError",
    "Machine",
    "ModelSpec",
    "ProbeError",
    "Range",
    "Recommendation",
    "Report",
    "UnknownNameError",
    "Verdict",
    "__version__",
    "check",
    "error_text",
    "recommend",
    "scan",
    "to_json",
]

_PLACES = {
    **dict.fromkeys(("scan", "check", "recommend", "to_json"), "probe.api.answers"),
    "error_text": "probe.api.failures",
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "probe.errors"),
}

if not TYPE_CHECKING:  # a type checker shall still refuse names that do not exist

    def __getattr__(name: str) -> object:
        """A public name, its module imported when the name is first used."""
        if name not in __all__:
            raise AttributeError(f"module 'probe' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_PLACES.get(name, "probe.api.types")), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
