"""The public types, under the names that programs use."""

from probe.catalog.model_spec import ModelSpec
from probe.machine import ByteRange, Machine, Range
from probe.recommender.answer import Verdict
from probe.report.documents import CheckDocument as Check
from probe.report.documents import EstimateDocument as Estimate
from probe.report.documents import FindingDocument as Finding
from probe.report.documents import RecommendationDocument as Recommendation
from probe.report.documents import ReportDocument as Report

__all__ = [
    "ByteRange",
    "Check",
    "Estimate",
    "Finding",
    "Machine",
    "ModelSpec",
    "Range",
    "Recommendation",
    "Report",
    "Verdict",
]
