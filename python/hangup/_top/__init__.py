"""What ``hangup top`` shows, and ``describe`` says: processes, their descriptors and sockets, and their clients.

How
    ``processes`` and ``sockets`` ask ``/proc`` and the kernel (sock_diag(7)), which needs nothing of the process but
    the right to look at it. ``reading`` adds what a family of hangup's counted, and what its workers answer at their
    control sockets. ``table`` shows that as text, ``app`` on a terminal.
"""
