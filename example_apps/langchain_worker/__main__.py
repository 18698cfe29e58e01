"""`python -m example_apps.langchain_worker`."""

import sys

from .worker import main

sys.exit(main())
