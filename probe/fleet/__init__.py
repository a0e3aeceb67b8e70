"""A folder of reports: who can run what."""
