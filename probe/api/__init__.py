"""What Python programs call: `probe.scan`, `probe.check`, `probe.recommend` and their types.

`import probe` loads none of it; names are resolved when first used (probe/__init__.py).
"""
