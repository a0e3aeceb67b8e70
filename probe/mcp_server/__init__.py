"""The tools of `probe mcp`: our answers over the Model Context Protocol, reading only."""
