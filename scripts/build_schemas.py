"""Write the published JSON Schemas from the types: `python scripts/build_schemas.py [--check]`.

One file per kind of document and major version in reports/schema/. `--check`
writes nothing and exits 1 when a file is not what the types say.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.machine import Machine
from probe.report.bench_documents import BenchDocument
from probe.report.catalog_check import CatalogCheckDocument
from probe.report.catalog_documents import CatalogDocument, CatalogEntryDocument
from probe.report.diff_documents import DiffDocument
from probe.report.documents import CheckDocument, DoctorDocument, ReportDocument
from probe.report.documents_preflight import MatrixDocument, PreflightDocument, PreflightSetDocument
from probe.report.fleet_documents import FleetDocument
from probe.report.json_schema import document_schemas
from probe.report.plan_documents import PlanDocument, UpgradeDocument
from probe.report.train_documents import TrainDocument

FOLDER = ROOT / "reports" / "schema"
DOCUMENTS = {
    "machine": Machine,
    "estimate": CheckDocument,
    "report": ReportDocument,
    "doctor": DoctorDocument,
    "plan": PlanDocument,
    "upgrade": UpgradeDocument,
    "train": TrainDocument,
    "bench": BenchDocument,
    "fleet": FleetDocument,
    "diff": DiffDocument,
    "preflight": PreflightDocument,
    "preflight_set": PreflightSetDocument,
    "preflight_matrix": MatrixDocument,
    "catalog": CatalogDocument,
    "catalog_entry": CatalogEntryDocument,
    "catalog_check": CatalogCheckDocument,
}


def schema_text(kind: str, document: type) -> str:
    """The JSON Schema of one document as text."""
    (reference,), components = document_schemas([document])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"probe {kind}, schema version 1",
        **reference,
        "$defs": components,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Write or compare every schema."""
    check = "--check" in sys.argv[1:]
    stale = []
    for kind, document in DOCUMENTS.items():
        path = FOLDER / f"{kind}-1.json"
        text = schema_text(kind, document)
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print("stale, run scripts/build_schemas.py:", ", ".join(stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
