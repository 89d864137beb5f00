"""What is read of each kind of file: what holds, what is unknown, and what is somebody else's."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from doctor.projects import BEHIND_NGINX, FLASK, NGINX, STOCK, UNIT, text
from doctor.test_planted import write
from hangup._doctor import Asked, examine, gather
from hangup._doctor.facts import Facts
from hangup._doctor.reading.nginx import Nginx, serving, size, span
from hangup._doctor.reading.packages import read_toml
from hangup._doctor.reading.units import seconds
from hangup._doctor.report import granted
from hangup._doctor.service import Service

pytest.importorskip("crossplane")
pytest.importorskip("yaml")


def read(folder: Path, files: dict[str, str], **asked: Any) -> Facts:
    """The facts of a folder, whatever that is called."""
    write(files, folder)
    return gather(Asked((str(folder),), environment=asked.pop("environment", {}), **asked))


def service(folder: Path, files: dict[str, str], **asked: Any) -> Service:
    """The one service of a folder."""
    (found,) = read(folder, files, **asked).services
    return found


@pytest.mark.parametrize(
    ("source", "hangup"),
    [
        ("from hangup.gunicorn import *", True),
        ("import hangup.gunicorn\nhangup.gunicorn.install(globals())", True),
        ("import hangup.gunicorn as it\nit.install(globals(), metrics='x')", True),
        ("from hangup.gunicorn import install\ninstall(globals())", True),
        ("from hangup import gunicorn\ngunicorn.install(globals())", True),
        ("from base import *", True),
        ("def on_starting(server): ...\nfrom hangup.gunicorn import *", True),
        ("from hangup.gunicorn import *\ndef on_starting(server): ...", False),
        ("from hangup.gunicorn import *\ndef on_starting(server): ...\n"
         "import hangup.gunicorn as h\nh.install(globals())", True),
        ("import hangup.gunicorn", False),
        ("import other\nother.install(globals())", False),
        ("try:\n    from hangup.gunicorn import *\nexcept ImportError:\n    pass", None),
        ("if unknown:\n    import hangup.gunicorn\n    hangup.gunicorn.install(globals())", None),
        ("from elsewhere import *", None),
        ("workers = =", None),
    ],
)  # fmt: skip
def test_whether_hangup_is_on(source: str, hangup: object, tmp_path: Path) -> None:
    """None where it depends."""
    files = {"gunicorn.conf.py": source + "\n", "base.py": "from hangup.gunicorn import *\nworkers = 2\n"}
    assert service(tmp_path, files).hangup is hangup


@pytest.mark.parametrize(
    "source",
    [
        "workers = compute()", "import os\nworkers = int(os.environ['N'])",
        "workers = 2\nif x:\n    workers = 4", "workers = 2\nworkers += 2",
        "for workers in (1, 2): pass\nworkers = [n for n in (1, 2)][0]",
        "workers, y = 1, 2",
        "workers = {'a': 1}['a']", "workers = x if y else 3",
    ],
)  # fmt: skip
def test_what_is_computed_is_unknown_and_said(source: str, tmp_path: Path) -> None:
    """No rule judges it."""
    facts = read(tmp_path, {**FLASK, "gunicorn.conf.py": STOCK + source + "\n"})
    assert facts.services[0].number("workers") is None
    assert not {"HUP104", "HUP105", "HUP103"} & {each.code for each in examine(facts)}
    assert any("workers is computed" in line for line in granted(facts))


def test_what_is_taken_for_granted_is_said(tmp_path: Path) -> None:
    """A variable with a default, a machine with one CPU."""
    source = "import os\nthreads = int(os.environ.get('T', 3))\nworkers = os.cpu_count() * 2 + 1\n"
    facts = read(tmp_path, {"gunicorn.conf.py": source})
    assert (facts.services[0].number("threads"), facts.services[0].number("workers")) == (3, 3)
    said = " ".join(granted(facts))
    assert "if T is not set" in said
    assert "if one CPU" in said
    assert service(tmp_path, {"gunicorn.conf.py": source}, environment={"T": "9"}).number("threads") == 9


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gunicorn -w 3 app:app", 3),
        ("cd /srv && exec /venv/bin/gunicorn --workers=3 app:app 2>&1 | tee log", 3),
        ("env A=1 poetry run gunicorn -w3 app:app", 3),
        ("tini -g -- python3.11 -Xdev -m gunicorn app:app -w 3", 3),
        ("bash -lc 'exec gunicorn -w 3 app:app'", 3),
        ("N=3 gunicorn -w $N app:app", None),  # the shell would not have it yet
        ("gunicorn -w ${N:-3} app:app", 3),
        ("gunicorn -w $N app:app", None),
        ("gunicorn -w $(nproc) app:app", None),
        ("gunicorn $OPTIONS app:app", None),
        ("sudo -u web newrelic-admin run-program gunicorn -w 3 app:app", 3),
        ("gunicorn --no-such-option 7 -w 3 app:app", 3),
        ("wait-for-it.sh db:5432 -- gunicorn -w 3 app:app", 3),
        ("pip install gunicorn -w 3", "none"),
        ("pkill -f 'gunicorn -w 3'", "none"),
        ("echo gunicorn -w 3; systemctl restart gunicorn", "none"),
        ("python -c 'import gunicorn'", "none"),
        ("gunicorn -w 'x app:app", "none"),
        ("", "none"),
    ],
)
def test_command_lines(line: str, expected: object, tmp_path: Path) -> None:
    """As shells and wrappers read them; what is only named is not started."""
    facts = read(tmp_path, {"Procfile": f"web: {line}\n"})
    assert [each.number("workers") for each in facts.gunicorns] == ([] if expected == "none" else [expected])


def test_a_unit_with_continued_lines_sections_and_drop_ins(tmp_path: Path) -> None:
    """The last one holds; an empty value empties a list."""
    unit = text("""
        [Service]
        ExecStart=/bin/false
        ExecStart=
        ExecStart=/usr/bin/gunicorn \\
            # not this
            --workers 3 \\
            app:app
        Environment="HANGUP=off" A=1
        Restart=no
        [Unit]
        Description=x
        [Service]
        Restart=always
    """)
    facts = read(tmp_path, {"a.service": unit, "a.service.d/b.conf": "[Service]\nRestartSec=9\n"})
    (found,) = facts.services
    assert found.number("workers") == 3
    assert found.is_switched_off
    assert facts.units[0].value("Service", "Restart") == "always"
    assert facts.units[0].where("Service", "RestartSec").file.endswith("a.service.d/b.conf")


@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh -c 'exec gunicorn app:app'", "/bin/sh -c 'cd /srv && exec gunicorn app:app 2>&1'", "gunicorn app:app",
        "/bin/bash -c 'cd /srv; gunicorn app:app'", "/bin/sh -c 'gunicorn app:app 2>&1'",
    ],
)  # fmt: skip
def test_a_shell_that_becomes_the_server_is_none(line: str, tmp_path: Path) -> None:
    """As dash and bash do it."""
    assert not service(tmp_path, {"a.service": f"[Service]\nExecStart={line}\n"}).is_wrapped


@pytest.mark.parametrize(
    "line", ["/bin/sh -c 'cd /srv; gunicorn app:app'", "/bin/bash -c 'gunicorn app:app | tee log'"]
)
def test_a_shell_that_waits_is_between_systemd_and_the_server(line: str, tmp_path: Path) -> None:
    """Then nobody hears that it is ready."""
    assert service(tmp_path, {"a.service": f"[Service]\nExecStart={line}\n"}).is_wrapped


@pytest.mark.parametrize(
    ("given", "expected"),
    [("90", 90), ("1min 30s", 90), ("500ms", 0.5), ("infinity", float("inf")), ("x", None), ("", None)],
)
def test_time_spans_of_systemd(given: str, expected: object) -> None:
    """And what is none."""
    assert seconds(given) == expected


def test_times_and_sizes_of_nginx() -> None:
    """Variables are unknown."""
    assert [span(each) for each in ("75", "1m30s", "500ms", "1h", "$x")] == [75, 90, 0.5, 3600, None]
    assert [size(each) for each in ("8k", "1m", "0", "$x")] == [8192, 1 << 20, float("inf"), None]


def test_nothing_is_said_of_what_an_absent_include_may_hold(tmp_path: Path) -> None:
    """It is said that it is absent."""
    bare = "".join(line for line in NGINX.splitlines(keepends=True) if "proxy_set" not in line)
    facts = read(
        tmp_path,
        {**BEHIND_NGINX, "nginx.conf": bare.replace("proxy_http_version 1.1;", "include proxy_params;")},
    )
    assert [each.code for each in examine(facts) if each.code.startswith("HUP4")] == []
    assert any("proxy_params" in notice.text for notice in facts.notices)
    bare = bare.replace("proxy_http_version 1.1;", "include snippets/*.conf;")
    whole = {
        **BEHIND_NGINX,
        "nginx.conf": bare,
        "snippets/proxy.conf": "proxy_set_header Upgrade $http_upgrade;\n",
    }
    found = {each.code for each in examine(read(tmp_path / "b", whole)) if each.code.startswith("HUP4")}
    assert "HUP402" in found
    assert "HUP401" not in found


def test_compose_overrules_its_image(tmp_path: Path) -> None:
    """The environment of the service, and its anchors."""
    files = {
        "Dockerfile": "FROM a\nENV N=1 K=sync\nCMD gunicorn -w $N -k $K app:app\n",
        "compose.yaml": text("""
            x: &x
              environment: {N: '4'}
            services:
              web:
                <<: *x
                build: .
                deploy: {replicas: 2}
        """),
    }
    found = service(tmp_path, files)
    assert (found.number("workers"), found.worker, found.processes) == (4, "sync", 8)
    assert found.stop_grace is not None
    assert found.stop_grace.value == 10


def test_pins_of_toml(tmp_path: Path) -> None:
    """A lock, a project, poetry's."""
    pytest.importorskip("tomllib")
    for source in (
        '[[package]]\nname = "gunicorn"\nversion = "21.2.0"\n',
        '[project]\ndependencies = ["gunicorn[gevent]==21.2.0"]\n',
        '[tool.poetry.dependencies]\ngunicorn = "21.2.0"\n',
    ):
        facts = Facts()
        read_toml(source, "x.toml", facts)
        assert facts.version("gunicorn") == (21, 2, 0), source


def test_of_this_machine_only_what_is_about_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units that work in it, and locations that proxy to its address; nothing of it if a PATH is given."""
    project, system = tmp_path / "project", tmp_path / "system"
    own = UNIT.replace("[Service]", f"[Service]\nWorkingDirectory={project}")
    others = UNIT.replace("[Service]", f"[Service]\nWorkingDirectory={system}")
    other_place = "    server {\n        location / { proxy_pass http://127.0.0.1:9999; }\n    }\n}\n"
    write(FLASK, project)
    write(
        {
            "etc/systemd/system/own.service": own,
            "etc/systemd/system/others.service": others.replace("Restart=on-failure\n", ""),
            "etc/nginx/nginx.conf": NGINX.rstrip().rstrip("}") + other_place,
        },
        system,
    )
    monkeypatch.chdir(project)
    facts = gather(Asked(environment={}, system=str(system)))
    assert [unit.name for unit in facts.units] == ["own.service"]
    assert [location.target for location in facts.locations] == ["http://board"]
    given = gather(Asked((".",), environment={}, system=str(system)))
    assert (given.units, given.locations) == ([], [])


LOCATIONS = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place root; }}
        location = /ws {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place exact; }}
        location /socket.io {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place prefix; }}
        location ^~ /ws/quiet/ {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place first; }}
        location ~ ^/ws/\\d+$ {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place number; }}
        location ~* \\.IO/$ {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place ending; }}
        location /ws/ {{ proxy_pass http://127.0.0.1:{to}; proxy_set_header X-Place below; }}
    }}
}}
"""


def test_nginx_chooses_the_location_that_we_think(tmp_path: Path) -> None:
    """The real one, asked by HTTP."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = self.headers.get("X-Place", "").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None: ...

    behind = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "nginx.conf"
    path.write_text(LOCATIONS.format(folder=tmp_path, port=port, to=behind.server_port))
    locations = list(Nginx(str(path), Facts()).locations())
    server = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(path)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
        for asked in ("/", "/ws", "/ws/", "/ws/12", "/ws/quiet/12", "/socket.io/", "/socket.io", "/other"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{asked}", timeout=20) as response:
                theirs = response.read().decode()
            (chosen,) = serving(locations, asked)
            assert chosen.sends["x-place"].arguments[1] == theirs, asked
    finally:
        server.terminate()
        server.wait(20)
        behind.shutdown()
        behind.server_close()


@pytest.mark.parametrize(
    "source",
    [
        "from flask_socketio import SocketIO\nsio: SocketIO = SocketIO(app, ping_timeout=7)",
        "import flask_socketio\ndef make(app):\n    return flask_socketio.SocketIO(app, ping_timeout=7)",
        "import socketio as s\nclass A:\n    def __init__(self):\n        self.sio = s.Server(ping_timeout=7)",
        "from socketio import Server\napp = WSGIApp(Server(ping_timeout=7))",
        "from flask_socketio import SocketIO\nsio = SocketIO()\ndef make(app):\n    sio.init_app(app, ping_timeout=7)",
    ],
)
def test_a_server_is_found_however_it_is_made(source: str, tmp_path: Path) -> None:
    """Once, with its options."""
    facts = read(tmp_path, {"app.py": source + "\n"})
    assert [server.number("ping_timeout", 20) for server in facts.application.servers] == [7]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("supervisor.conf", "[program:web]\ncommand = gunicorn -w 3 app:app\n"),
        ("render.yaml", "services:\n  - type: web\n    startCommand: gunicorn -w 3 app:app\n"),
        ("gunicorn_config.py", "workers = 3\n"),
        ("deploy/Containerfile", 'FROM a\nCMD ["gunicorn", "-w", "3", "app:app"]\n'),
        ("bin/start", "#!/usr/bin/env bash\nexec gunicorn -w 3 app:app\n"),
    ],
)
def test_other_files_that_say_how_it_is_started(name: str, content: str, tmp_path: Path) -> None:
    """Wherever they are in the folder."""
    assert service(tmp_path, {name: content}).number("workers") == 3


def test_the_root_of_the_file_system_is_not_looked_through() -> None:
    """A service may well run there; what is in it is not its deployment."""
    facts = gather(Asked(("/",), environment={}))
    assert facts.looked_at == []
    assert any("root of the file system" in notice.text for notice in facts.notices)
