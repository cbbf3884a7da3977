"""`python -m sentinel` is `sentinel`."""

import sys

from sentinel.cli import main

sys.exit(main())
