"""Warns when our own data is old: the day comes from the report, there is no clock here."""

from probe.catalog.limits import limits
from probe.catalog.models import catalog_age_days, catalog_date
from probe.recommender.findings import Finding, Severity

_DATE_LENGTH = 10


def with_stale_catalog(found: tuple[Finding, ...], created_at: str) -> tuple[Finding, ...]:
    """The findings, and one more where the catalogs are older than the limit at `created_at`.

    Args:
        created_at: as in a report, "2026-12-24T10:00:00Z".
    """
    days = catalog_age_days(created_at[:_DATE_LENGTH])
    if days <= limits().catalog.stale_after_days:
        return found
    stale = Finding(
        id="stale_catalog", severity=Severity.WARNING, values={"date": catalog_date(), "days": days}
    )
    order = list(Severity)
    return tuple(sorted((*found, stale), key=lambda finding: order.index(finding.severity)))
