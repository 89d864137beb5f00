"""HUP5xx: units."""

from __future__ import annotations

from doctor.planting import UVICORN_UNIT, Planted, unit
from doctor.projects import UNDER_SYSTEMD, changed

PLANTED = [
    Planted(
        "HUP509",
        "board.service:12",
        unit("RestartSec=5", "RestartSec=500ms"),
        unit("After=network.target", "StartLimitIntervalSec=600\nStartLimitBurst=10"),
    ),
    Planted(
        "HUP500",
        "board.service:13",
        unit("RestartSec=5\n", "RestartSec=5\nrestart the thing\n"),
        unit("RestartSec=5\n", "RestartSec=5\n; restart the thing\n"),
    ),
    Planted(
        "HUP501",
        "board.service:13",
        unit("RestartSec=5\n", "RestartSec=5\nWatchdogSec=30\n"),
        unit("RestartSec=5\n", "RestartSec=5\nWatchdogSec=0\n"),
    ),
    Planted(
        "HUP502",
        "board.service:6",
        unit("Type=notify", "Type=forking"),
        unit(
            "gunicorn app:app", "gunicorn --daemon --pid /run/a app:app", unit("Type=notify", "Type=forking")
        ),
    ),
    Planted(
        "HUP503",
        "board.service:6",
        changed(UVICORN_UNIT, board_service=("Type=exec", "Type=notify")),
        UVICORN_UNIT,
    ),
    Planted(
        "HUP503",
        "board.service:6",
        unit("/usr/bin/env gunicorn app:app", "/bin/sh -c 'cd /srv; gunicorn app:app'"),
        unit("/usr/bin/env gunicorn app:app", "/bin/sh -c 'exec gunicorn app:app'"),
    ),
    Planted("HUP504", "board.service:0", unit("Type=notify\n"), UNDER_SYSTEMD),
    Planted("HUP505", "board.service:0", unit("LimitNOFILE=65536\n"), UNDER_SYSTEMD),
    Planted(
        "HUP505",
        "board.service:8",
        unit("LimitNOFILE=65536", "LimitNOFILE=256:4096"),
        {**unit("LimitNOFILE=65536\n"), "board.service.d/limits.conf": "[Service]\nLimitNOFILE=infinity\n"},
    ),
    Planted(
        "HUP506",
        "board.service:9",
        unit("KillMode=mixed", "KillMode=process"),
        unit("KillMode=mixed", "KillMode=control-group"),
    ),
    Planted(
        "HUP507",
        "board.service:10",
        unit("TimeoutStopSec=40", "TimeoutStopSec=10s"),
        unit("TimeoutStopSec=40", "TimeoutStopSec=1min 5s"),
    ),
    Planted(
        "HUP508",
        "board.service:0",
        unit("Restart=on-failure\n"),
        unit("Restart=on-failure", "Restart=always"),
    ),
    Planted(
        "HUP509",
        "board.service:0",
        unit("RestartSec=5\n"),
        unit("RestartSec=5\n", files=unit("After=network.target", "StartLimitIntervalSec=0")),
    ),
    Planted(
        "HUP510",
        "board.service:13",
        unit("RestartSec=5\n", "RestartSec=5\nStartLimitIntervalSec=60\n"),
        unit("After=network.target", "StartLimitIntervalSec=20"),
    ),
]
