"""What is done with log lines about clients that left: the table, the judgement by it, and what follows.

``rows``, ``table`` and ``endings`` say what is known of each logger, ``places`` and ``judge`` find the records that
only say that a client left, ``filter`` turns them down, ``channels`` brings it what never reaches logging, ``summary``
says each minute how many there were, ``document`` writes ``docs/logging.md``. The public face: :mod:`hangup.logfilter`.
"""
