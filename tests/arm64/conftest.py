"""`make test-arm64` runs what lies here, and says where the emulated Python is."""

import os

collect_ignore_glob = [] if os.environ.get("EDGEVIT_ARM64") else ["test_*.py"]
