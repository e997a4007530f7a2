"""``python -m skinaudit`` is the command ``skinaudit``."""

import sys

from skinaudit.cli import main

sys.exit(main())
