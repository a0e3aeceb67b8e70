"""What LLMs can this machine run? Reads the hardware and answers truly, in Korean and English."""

__version__ = "0.1.0"
