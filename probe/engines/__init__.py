"""One file per engine: what it needs, how it lays memory out, how it is started."""
