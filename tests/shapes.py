"""Types and shapes that signatures state are checked at every call, in the tests."""

from beartype import BeartypeConf, beartype

CHECKED = ("evaluation", "inference", "models", "training")
"""The packages whose calls are checked: where shapes are stated and arrays pass through many hands.
Readers and pages are tested with wrong input above all, and answer it themselves."""

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""The checker of their functions; a whole number passes for a float."""
