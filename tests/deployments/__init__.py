"""Five deployments from production, as they were and with hangup: ``make examples``.

Promised
    * A folder of ``examples`` is the deployment with hangup. Its ``hangup.diff`` is what a user changed to get there;
      "stock" is the same folder with that diff taken back, and nothing else. Both run the start script, the
      configuration and the pinned packages of the folder, with the real server in front.
    * Counted is what clients saw, what stands in the logs, and what the processes hold before and after. A stock
      failure is said to be reproduced only if this run reproduced it.
    * Real errors are provoked in both; one that is not in the log afterwards is counted as hidden.

How
    A module of `scenarios`, named as the folder, has a ``deployment``: its complaint, the errors it provokes, and a
    function that starts the services of a `Site` and plays its clients. `runner` runs it twice, `table` prints.

Not promised
    Absolute times. Other load on the machine makes clients wait, and the stock runs worse than they are.
"""
