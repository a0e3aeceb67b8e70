"""Measures this machine: memory bandwidth and real engine runs."""
