"""Settings of all unit tests."""

import os

from hypothesis import settings

# No property here is about time: on a busy computer a generated case may take as long as it likes.
# Whatever else Hypothesis has set for where it runs (its own profile on CI) stays.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

# Servers of tests are on this computer: no proxy leads to them, and a Hugging Face library that is told
# to stay offline may ask them. It reads its variables when it is imported.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_HOME"):
    os.environ.pop(_name, None)
