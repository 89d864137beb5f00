"""``hangup migrate eventlet``: from green threads on eventlet's hub to threads, and hangup.

Promised
    * Nothing of the folder is imported or run, and nothing is written unless that is asked for.
    * What is changed is still Python; what cannot be changed safely is named, with its file and line, and left.
    * Comments and the layout of what is not changed stay as they are.

How
    :mod:`.names` knows what eventlet's names become; :mod:`.source` finds them in the syntax tree, by what was imported
    and not by how it is spelled, and :mod:`.edits` changes the text at those places. :mod:`.requirements` and
    :mod:`.deployment` do the same for lists of packages and for command lines; :mod:`.state` looks for code that
    counts on not being interrupted; :mod:`.project` puts it together.

Not promised
    That an application is safe on threads. What two handlers change at the same time needs a lock, and only a person
    can say what belongs together; the hints say where to look.
"""
