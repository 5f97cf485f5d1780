"""Command line of exported models: see `python -m ssl_lib.export --help`."""

import sys

from ssl_lib.export.model import main

sys.exit(main())
