"""The Report: its type, its schema, reading every released version, writing atomically."""
