"""Files of a run: how they are named, written atomically and read back."""
