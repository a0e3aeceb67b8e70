"""Reads GGUF, safetensors and config.json headers into ModelSpec, bounds-checked."""
