"""Settings of all unit tests."""

import os

from hypothesis import settings

# The same cases on every computer, in whatever time, kept nowhere: a change is judged by the change, and
# the checkout may be read-only. Other cases: HYPOTHESIS_CASES=new.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("new", derandomize=False, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_CASES", "same"))

# Servers of tests are on this computer: no proxy leads to them, and a Hugging Face library that is told
# to stay offline may ask them. It reads its variables when it is imported.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_HOME"):
    os.environ.pop(_name, None)
