"""``hangup init``: the files that a service needs around its application.

Promised
    * What is written fits together: nginx drops an idle connection before gunicorn does, and waits longer than the
      heartbeat; systemd waits longer than gunicorn's workers do; descriptors suffice for the clients.
    * It fits the versions that are installed, or that are named.
    * The application is read, never imported or run.
    * A file that is there is not changed unless that is asked for, and then whole: never half of it.
    * Names and paths cannot say anything in a file but themselves: what a file's syntax cannot quote is refused.

How
    :mod:`.project` reads the folder, :mod:`.versions` asks the programs, :mod:`.plan` decides every figure once,
    :mod:`.files` fills the templates, :mod:`.changes` edits an application's own source, :mod:`.store` writes.

Not promised
    To know what an application's requests cost: threads and workers are a start, and said to be one.
"""
