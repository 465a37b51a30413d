"""A raw folder like the real export, for whoever has no real one: its shares, its dialects and its faults."""
