"""The demonstration: gunicorn as it is and gunicorn with hangup, under the same clients, in one table.

Promised: every figure was counted in this run, from the clients', the log's and the kernel's side; a row in
which hangup is not better is printed like the others, and marked. Not promised: that figures of two runs
compare.
"""
