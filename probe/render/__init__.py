"""A finished Report as a page; computes nothing."""
