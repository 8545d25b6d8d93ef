"""What holds for all tests, and for the processes that they start."""

import os

# Before torch is imported: models here are so small that threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
