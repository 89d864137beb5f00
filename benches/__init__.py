"""Speed, stock and with hangup, side by side in one run: ``python -m benches`` (or ``make bench``).

Method
    Every row compares two things that run alternately in the same minutes on the same cores; what is judged
    is the median of the ratios of neighbouring runs, so that whatever else the machine does meets both
    alike. Between pairs the order changes. Where it matters servers are started anew several times, because two
    starts of the same program can differ by a few per cent for good.

    ``http``: a real gunicorn with one worker, pinned to one core; the load client (wrk, or where that is not
    installed one of our own, which is named) pinned to another. The CPU time per request is shown as well:
    on a busy machine it moves less than the requests per second that are judged.
    ``socket``: blocks of calls on two connected pairs; the peer is drained between the blocks, not during them,
    so that no wake-up of another process hides what the call itself costs.
    ``import``: fresh interpreters with and without the import, byte-code cached.
    ``mutex``: criterion's own estimate.
    ``census``: ten thousand descriptors of this process, against psutil.
    ``flask``, ``bare``: a WebSocket service of ours and one of another stack, each on the servers' core, with the
    native client (``crates/hangup-load``) on the other.
    ``fanout``: broadcasts through the same services, a window of them in flight; numbers that do not arrive exactly
    once fail the row. "stock" is the peer that the row names. The bare send loop (``hangup-load peer``) is the least
    a broadcast can cost. socketioxide is built from crates.io when its row is first run. Ten thousand clients need
    ``ulimit -n`` above 11,000. ``python -m benches.plot`` draws the cost of a recipient from the newest result file.

    ``fanout-against-channels``: ``GroupFanout`` and Channels' own ``group_send``, each on uvicorn with a Redis.
    ``idle``: private memory of a uvicorn for each of a thousand silent WebSockets: a consumer of Channels alone, and
    with ``Hangup`` and the mixin, on ``hangup.uvicorn:WebSocketProtocol`` and on uvicorn's own. Every figure has a
    fresh server.
    ``django``: a site of one view with ``hangup.django`` and its middleware, and without, on the same server.

    ``--control`` compares stock with stock: what such a run shows as a ratio is the resolution of the machine.
    A verdict is "unclear" where the bar lies between the quartiles of the pairs.

Not promised
    Absolute figures: they are this machine's, at this moment. A pass or failure by exit status: nothing here is
    an assertion, and a missed bar exits with 0 like a met one. A figure on one core: then client and
    server share it, which the table says.
"""
