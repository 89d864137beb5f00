"""The five, by the names of their folders in ``examples``, with underscores."""
