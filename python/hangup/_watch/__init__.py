"""Keeps a gunicorn service well: looks at it, and does the mildest thing that helps.

Promised
    * Nothing is done while the service is well, and nothing for one bad look: a symptom is raised by n of m looks, and
      cleared by several good ones below a lower threshold.
    * A harsher remedy is tried when the milder one had its time and did not help, or cannot be had; which of the two is
      said.
    * No more restarts than the budget has, also if the watch itself is started again.
    * Nothing is restarted for what a restart does not mend: a full disk, an unreachable dependency, somebody
      else's port.
    * Files are removed only if nobody can be using them.

How
    ``look`` gathers what there is to see (:mod:`.signals`), ``core`` decides (no clock, no files, no processes in it),
    ``remedies`` does it, ``loop`` goes round. ``systemd`` speaks to the service manager; ``service`` is where the
    gunicorn comes from: one that runs already, or a child.

Not promised
    That the application answers rightly: any answer but a 5xx is a good one.
"""
