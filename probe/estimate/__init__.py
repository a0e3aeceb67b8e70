"""Pure arithmetic: tensors, weights, caches, speed. No clock, no files, no environment."""
