"""Settings of all unit tests."""

import os

from hypothesis import settings

# No property here is about time: on a busy computer a generated case may take as long as it likes.
# Whatever else Hypothesis has set for where it runs (its own profile on CI) stays.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

# Servers of tests are on this computer, whatever proxy leads out of it.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
