"""Errors, atomic writes, names, provenance: what every other package uses."""
