"""``hangup serve``: one command that starts a project's server, with hangup in it.

Promised
    * What would keep the server from starting is said before it is started, with what to do about it.
    * The server takes this process's place: its pid, its signals and its exit status are the server's own.
    * The project's configuration counts. A ``gunicorn.conf.py`` is kept, read again at each HUP, and hangup's hooks are
      added to the ones that it has.

How
    :mod:`.choice` picks the server, :mod:`.checks` looks at what it needs, :mod:`.command` writes its command line,
    :mod:`.probe` imports the application in a process of its own, which ends with that. :mod:`.chained` is the
    configuration of a gunicorn that has one already, :mod:`.application` the application under daphne.

Not promised
    A port that is free when it is looked at may be taken when the server wants it.
"""
