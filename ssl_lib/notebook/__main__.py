"""Command line of the notebooks: `python -m ssl_lib.notebook sync` or `check`."""

import sys

from ssl_lib.notebook.source import main

sys.exit(main())
