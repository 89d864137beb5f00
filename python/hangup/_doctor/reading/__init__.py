"""From files, command lines and ``/proc`` to facts. Foreign bytes: whatever is in them, no exception leaves here."""
