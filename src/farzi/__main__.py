"""``python -m farzi`` is ``farzi``."""

import sys

from farzi.cli import main

sys.exit(main())
