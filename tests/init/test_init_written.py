"""What ``hangup init`` writes is taken by the programs that it is for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hangup._demo.server import MissingGunicorn, gunicorn_home
from init_files import flask_project, hangup, nginx_test, program, verified

ROOT = Path(__file__).resolve().parents[2]


def written(folder: Path, *arguments: str) -> Path:
    """The folder, after ``hangup init``."""
    done = hangup(folder, "init", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def value(text: str, name: str) -> int:
    """The number after a setting's name."""
    found = re.search(rf"^\s*{name}\W+(\d+)", text, re.MULTILINE)
    assert found, name
    return int(found.group(1))


PORT, SOCKET = ("--port", "8123"), ("--socket", "/tmp/x.sock")
SLOW = [(version, place) for place in (PORT, SOCKET) for version in ("23.0.0", "25.3.0")] + [
    ("21.2.0", PORT),
    ("27.0.1", SOCKET),
]


@pytest.mark.parametrize(
    ("version", "place"),
    [("21.2.0", SOCKET), ("27.0.1", PORT), *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW)],
)
def test_gunicorn_takes_its_configuration(version: str, place: tuple[str, ...], tmp_path: Path) -> None:
    """--check-config imports the application too; --print-config tells what gunicorn has understood."""
    try:
        home = gunicorn_home(version)
    except MissingGunicorn as absent:
        pytest.skip(str(absent))
    if version.startswith("27") and sys.version_info < (3, 10):
        pytest.skip("gunicorn 27 needs Python 3.10")
    written(flask_project(tmp_path), "gunicorn", "--gunicorn-version", version, *place, "--threads", "7")
    assert ("control_socket" in (tmp_path / "gunicorn.conf.py").read_text()) == (version >= "25")
    environment = {**os.environ, "PYTHONPATH": f"{home}:{tmp_path}", "RUNTIME_DIRECTORY": "/run/x"}
    environment.pop("WEB_CONCURRENCY", None)
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--check-config", "--print-config", "-c", "gunicorn.conf.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = {name: text for name, _, text in (line.partition("= ") for line in done.stdout.splitlines())}
    said = {name.strip(): text.strip() for name, text in said.items()}
    assert (said["wsgi_app"], said["threads"], said["workers"]) == ("app:app", "7", "1")
    assert said["bind"] == ("['unix:/tmp/x.sock']" if place[0] == "--socket" else "['127.0.0.1:8123']")
    assert said["pidfile"] == "/run/x/gunicorn.pid"


@pytest.mark.parametrize(
    "arguments",
    [(), ("--socket",), ("--domain", "example.org", "--domain", "*.example.net"), ("--static", "/a b;c'd\"e/static"),
     ("--websocket-path", "/"), ("--websocket-path", "/ws/", "--websocket-path", "/socket.io/")],
)  # fmt: skip
def test_nginx_takes_its_site(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """nginx -t; and there is no warning either."""
    written(flask_project(tmp_path), "nginx", "--name", "site", "--listen", "18080", *arguments)
    done = nginx_test(tmp_path / "site.nginx.conf", tmp_path)
    assert "test is successful" in done.stderr, done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize("version", ["1.22.1", "1.25.1"])
def test_nginx_is_told_of_http2_as_its_version_wants(version: str, tmp_path: Path) -> None:
    """As a parameter before 1.25.1, as a directive since; the one that is installed takes its own."""
    openssl = program("openssl")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa", "-nodes", "-subj", "/CN=x", "-keyout", "k.pem", "-out", "c.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    tls = ("--certificate", str(tmp_path / "c.pem"), "--certificate-key", str(tmp_path / "k.pem"))
    written(flask_project(tmp_path), "nginx", "--name", "site", "--nginx-version", version, *tls)
    site = tmp_path / "site.nginx.conf"
    text = site.read_text()
    assert ("listen 443 ssl http2;" in text) == (version == "1.22.1")
    assert ("http2 on;" in text) == (version == "1.25.1")
    said = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    here = tuple(map(int, re.findall(r"\d+", said)[:3]))
    if (here >= (1, 25, 1)) == (version == "1.25.1"):
        site.write_text(re.sub(r"listen (\[::\]:)?(80|443)", r"listen \g<1>1\g<2>", text))
        done = nginx_test(site, tmp_path)
        assert "test is successful" in done.stderr, done.stderr


@pytest.mark.parametrize("watch", [(), ("--watch",), ("--watch-beside",)])
@pytest.mark.parametrize("server", [("--server", "gunicorn"), ("--server", "uvicorn"), ("--socket",)])
def test_systemd_takes_its_unit(watch: tuple[str, ...], server: tuple[str, ...], tmp_path: Path) -> None:
    """systemd-analyze verify says nothing at all."""
    programs = tmp_path / "bin"
    programs.mkdir()
    if watch and server == ("--server", "uvicorn"):
        said = hangup(flask_project(tmp_path), "init", "systemd", "--app", "a:b", *watch, *server)
        assert "not after uvicorn" in said.stderr
        return
    for name in ("gunicorn", "uvicorn", "hangup"):
        (programs / name).symlink_to("/bin/true")
    written(
        flask_project(tmp_path), "systemd", "--name", "unit", "--programs", str(programs), *watch, *server
    )
    units = sorted(tmp_path.glob("*.service"))
    assert len(units) == 1 + (watch == ("--watch-beside",))
    assert verified(*units) == ""
    assert ("watch -- " in (tmp_path / "unit.service").read_text()) == (watch == ("--watch",))


def test_systemd_backs_off_where_it_can(tmp_path: Path) -> None:
    """RestartSteps and RestartMaxDelaySec came with 254, and older ones complain of them."""
    flask_project(tmp_path)
    new, old = (
        hangup(tmp_path, "init", "systemd", "-o", "-", "--systemd-version", version).stdout
        for version in ("254", "253.17")
    )
    assert "\nRestartSteps=" in new
    assert "\nRestartMaxDelaySec=" in new
    assert "\nRestartSteps=" not in old
    assert "\nRestartMaxDelaySec=" not in old


def test_logrotate_takes_its_configuration(tmp_path: Path) -> None:
    """logrotate -d."""
    written(flask_project(tmp_path), "logrotate", "--user", "root", "--name", "rotated")
    path = tmp_path / "rotated.logrotate"
    path.chmod(0o644)
    done = subprocess.run(
        [program("logrotate"), "-d", "-s", str(tmp_path / "state"), str(path)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()
    assert "/var/log/rotated/*.log" in done.stderr


def test_prometheus_takes_the_alerts_and_the_docs_have_the_same(tmp_path: Path) -> None:
    """promtool check rules; one source."""
    promtool = program("promtool")
    written(tmp_path, "alerts")
    path = tmp_path / "hangup.rules.yml"
    done = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert "SUCCESS" in done.stdout, done.stderr
    docs = ROOT / "docs" / "ops" / "hangup.rules.yml"
    if docs.exists():
        assert docs.read_text() == path.read_text()


def test_the_image_is_what_it_should_be(tmp_path: Path) -> None:
    """One process that is an init, nobody, in exec form, with a health check that Python can parse."""
    written(flask_project(tmp_path), "docker")
    text = (tmp_path / "Dockerfile").read_text()
    steps = [
        line.split(" ", 1)
        for line in re.sub(r"\\\n\s*", "", text).splitlines()
        if line and line[0] not in "#"
    ]
    order = [step[0] for step in steps]
    assert order == ["FROM", "RUN", "WORKDIR", "RUN", "COPY", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
                     "ENTRYPOINT", "CMD"]  # fmt: skip
    told = dict(steps)
    assert told["USER"] == "app"
    assert told["ENTRYPOINT"] == '["tini", "--"]'
    assert told["CMD"] == '["gunicorn", "-c", "gunicorn.conf.py", "--worker-tmp-dir", "/dev/shm"]'
    check = eval(told["HEALTHCHECK"].partition("CMD ")[2])
    compile(check[2], "check", "exec")
    assert "/readyz" in check[2]


@pytest.mark.parametrize("redis", [(), ("--redis",)])
def test_compose_and_render_are_yaml_and_agree(redis: tuple[str, ...], tmp_path: Path) -> None:
    """The services, their limits and what they wait for."""
    yaml = pytest.importorskip("yaml")
    written(flask_project(tmp_path), "compose", "render", "--name", "Some-app", "--listen", "8080", *redis)
    compose = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    assert compose["name"] == "some-app"
    assert set(compose["services"]) == {"app", "nginx"} | ({"redis"} if redis else set())
    assert compose["services"]["nginx"]["ports"] == ["8080:80"]
    assert compose["services"]["app"]["stop_grace_period"] == "45s"
    render = yaml.safe_load((tmp_path / "render.yaml").read_text())
    web = render["services"][0]
    assert web["startCommand"] == "gunicorn -c gunicorn.conf.py"
    assert web["maxShutdownDelaySeconds"] == 45
    assert len(render["services"]) == 1 + len(redis)
    proxy = (tmp_path / "nginx.conf").read_text()
    assert "server app:8000 " in proxy
    assert value(proxy, "worker_rlimit_nofile") == compose["services"]["nginx"]["ulimits"]["nofile"]
    whole = tmp_path / "whole.conf"
    whole.write_text(proxy.replace("server app:", "server 127.0.0.1:").replace("listen 80", "listen 18081"))
    done = subprocess.run(
        [program("nginx"), "-t", "-g", f"pid {tmp_path}/pid;", "-c", str(whole)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "test is successful" in done.stderr, done.stderr


def test_the_files_agree_with_each_other(tmp_path: Path) -> None:
    """Timeouts, descriptors, sockets and signals."""
    app = flask_project(tmp_path).joinpath("app.py")
    app.write_text(app.read_text().replace('"threading"', '"threading", ping_interval=40, ping_timeout=30.5'))
    written(
        tmp_path,
        "gunicorn",
        "nginx",
        "systemd",
        "logrotate",
        "--name",
        "s",
        "--socket",
        "--clients",
        "5000",
        "--user",
        "web",
    )
    server, proxy, unit, rotation = (
        (tmp_path / name).read_text()
        for name in ("gunicorn.conf.py", "s.nginx.conf", "s.service", "s.logrotate")
    )
    assert value(proxy, "keepalive_timeout") < value(server, "keepalive")
    assert value(proxy, "proxy_read_timeout") > 40 + 31
    assert value(unit, "TimeoutStopSec") > value(server, "graceful_timeout")
    assert value(unit, "LimitNOFILE") > 5000
    assert value(proxy, "#   events { worker_connections") >= 2 * 5000
    assert "unix:/run/s/gunicorn.sock" in server
    assert "server unix:/run/s/gunicorn.sock " in proxy
    assert "\nRuntimeDirectory=s\n" in unit
    assert "\nLogsDirectory=s\n" in unit
    assert rotation.count("/run/s/gunicorn.pid") == 1
    assert "/var/log/s/*.log" in rotation
    assert "\nUser=web\n" in unit
    assert "create 0640 web web" in rotation
