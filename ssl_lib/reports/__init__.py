"""Run the notebooks and write one self-contained page for each, and an index of the pages.

    python -m ssl_lib.reports --datasets phantom --profile quick --notebooks 00 --seeds "0 1 2"

`plan` decides what to run, `run` executes it (`cluster` and `worker` several at a time, through
Dask), `outcome` says how it ended, `render` writes a page
(with `card`, `markdown`, `mathml` and `outputs` for its parts) and `index` the page of pages.
Reports never compute a score: every number comes from the result files.
"""
