"""What the log of a service says, and what to do about it: ``hangup explain`` and ``hangup logs``.

``catalogue`` has the failures that are known, ``failure`` says what they are made of. ``prefixes`` and ``heads`` read
lines, ``tracebacks`` and ``modules`` what was raised, ``events`` puts lines together. ``departures`` and ``verdict``
say which failure it is, ``families`` counts, ``reading`` opens files, ``show`` prints; ``document`` writes
``docs/errors.md``.
"""
