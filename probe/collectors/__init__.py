"""Reads the machine: one file per source, each a thin collect(host) plus pure parse_* functions."""
