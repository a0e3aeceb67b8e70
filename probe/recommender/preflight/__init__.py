"""Before an engine is installed: will it install, start and serve here, and what works instead."""
