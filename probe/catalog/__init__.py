"""Typed rows of catalogs/: models, devices, quantizations, engines, limits."""
