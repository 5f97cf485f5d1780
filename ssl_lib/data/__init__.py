"""From a name or a folder to a cohort: reading, checks, splits, preprocessing, downloads."""
