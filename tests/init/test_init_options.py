"""Every combination of options is valid, and no name or path can say anything but itself."""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from pathlib import Path

import crossplane
import pytest
from hangup._init.files import files
from hangup._init.plan import Plan, Refused
from hangup._init.versions import Versions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from init_files import nginx_test, verified

NASTY = st.text(st.sampled_from("ab/ ;{}\"'%$\\\n\r\t#é\u2028\x1b\x00=-~()"), max_size=12)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
FOLDER = st.text(st.sampled_from("ab ;{}\"'%$\\#é=-~()"), min_size=1, max_size=8).map(
    lambda text: f"/{text}x"
)
APP = st.sampled_from(["app:app", "a.b.c:make_app()", "wsgi:application", "x:y.z"])
VERSIONS = st.builds(
    Versions,
    st.sampled_from([(21, 2, 0), (23, 0, 0), (25, 1), (27, 0, 1)]),
    st.sampled_from([(1, 18, 0), (1, 22, 1), (1, 25, 1), (1, 29, 0)]),
    st.sampled_from([(239,), (252,), (254,), (257,)]),
)
PLANS = st.builds(
    Plan,
    name=NAME,
    directory=FOLDER,
    programs=st.just("/bin"),
    app=APP,
    server=st.sampled_from(["gunicorn", "uvicorn"]),
    user=st.sampled_from(["web", "_x-1"]),
    workers=st.integers(1, 64),
    threads=st.integers(1, 1000),
    clients=st.integers(1, 1_000_000),
    domains=st.sampled_from([("_",), ("example.org", "*.example.org")]),
    port=st.integers(1, 65535),
    socket=st.sampled_from(["", "/run/a/b.sock"]),
    listen=st.just(18099),
    static=st.one_of(st.just(""), FOLDER.filter(lambda path: not set(path) & set("$\\"))),
    websockets=st.sampled_from([(), ("/",), ("/ws/", "/socket.io/")]),
    ping=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    watch=st.sampled_from(["", "main", "beside"]),
    redis=st.booleans(),
    socketio=st.booleans(),
    queue=st.booleans(),
)
FIELDS = (
    "name",
    "app",
    "user",
    "group",
    "directory",
    "programs",
    "socket",
    "static",
    "domains",
    "websockets",
)
RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(PLANS, VERSIONS)
@settings(RELAXED, max_examples=60)
def test_every_gunicorn_configuration_is_python_that_says_what_was_asked_for(
    plan: Plan, versions: Versions
) -> None:
    """Its literals are the plan's, and nothing else is called than os and hangup."""
    if not plan.is_gunicorn:
        with pytest.raises(Refused, match="uvicorn"):
            files("gunicorn", plan, versions)
        return
    (file,) = files("gunicorn", plan, versions)
    tree = ast.parse(file.text)
    assignments = [node for node in tree.body if isinstance(node, ast.Assign)]
    assigned = {ast.unparse(node.targets[0]): node.value for node in assignments}
    assert ast.literal_eval(assigned["wsgi_app"]) == plan.app
    assert ast.literal_eval(assigned["threads"]) == plan.threads
    assert ("control_socket_disable" in assigned) == (versions.gunicorn >= (25, 1))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls <= {
        "os.environ.get",
        "os.path.isdir",
        "os.path.join",
        "int",
        "globals",
        "hangup.gunicorn.install",
    }


def directives(text: str) -> list[dict[str, object]]:
    """What crossplane reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site"
        path.write_text(text)
        read = crossplane.parse(str(path), single=True, check_ctx=False, check_args=False)
    assert read["status"] == "ok", read["errors"]
    parsed: list[dict[str, object]] = read["config"][0]["parsed"]
    return parsed


def names(found: list[dict[str, object]]) -> list[str]:
    """Of directives, with those inside of blocks."""
    return [
        name
        for one in found
        for name in (str(one["directive"]), *names(one.get("block", [])))  # type: ignore[arg-type]
    ]


KNOWN = set(
    """map default '' upstream server keepalive keepalive_timeout listen http2 server_name return ssl_certificate
    ssl_certificate_key ssl_session_cache client_max_body_size proxy_http_version proxy_set_header proxy_connect_timeout
    proxy_read_timeout proxy_send_timeout location alias expires proxy_pass proxy_buffering""".split()  # noqa: SIM905
) | {""}


@given(PLANS, VERSIONS)
@settings(RELAXED, max_examples=60)
def test_every_nginx_site_has_known_directives_and_the_paths_that_were_asked_for(
    plan: Plan, versions: Versions
) -> None:
    """Read by a parser of nginx's syntax."""
    (file,) = files("nginx", plan, versions)
    found = directives(file.text)
    assert set(names(found)) <= KNOWN
    assert names(found).count("location") == len(plan.websockets) + bool(plan.static) + (
        "/" not in plan.websockets
    )
    server = found[-1]["block"]
    aliases = [
        inner["args"] for one in server for inner in one.get("block", []) if inner["directive"] == "alias"
    ]  # type: ignore[attr-defined]
    assert aliases == ([[plan.static.rstrip("/") + "/"]] if plan.static else [])


@given(PLANS, VERSIONS)
@settings(RELAXED, max_examples=12)
def test_every_nginx_site_is_taken_by_nginx(plan: Plan, versions: Versions) -> None:
    """nginx -t."""
    (file,) = files("nginx", plan, versions)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        site.write_text(file.text)
        done = nginx_test(site, Path(folder))
    assert "test is successful" in done.stderr, (done.stderr, file.text)


@given(PLANS, VERSIONS, FOLDER)
@settings(RELAXED, max_examples=15)
def test_every_unit_is_taken_by_systemd_which_finds_its_program(
    plan: Plan, versions: Versions, folder: str
) -> None:
    """In a folder with an ugly name; only keys that are newer than this systemd are complained of."""
    with tempfile.TemporaryDirectory() as parent:
        try:
            changed = Plan(**{**vars(plan), "programs": parent + folder})
        except Refused:
            assert re.search("[\"'\\\\]", folder)
            return
        programs = Path(parent + folder)
        programs.mkdir()
        for name in ("gunicorn", "uvicorn", "hangup"):
            (programs / name).symlink_to(shutil.which("true") or "/bin/true")
        units = []
        for file in files("systemd", changed, versions):
            units.append(Path(parent) / file.path)
            units[-1].write_text(file.text)
        complaints = [line for line in verified(*units).splitlines() if "Unknown key 'Restart" not in line]
    assert complaints == []


@given(PLANS, VERSIONS)
@settings(RELAXED, max_examples=60)
def test_a_unit_has_no_line_that_a_plain_service_has_not(plan: Plan, versions: Versions) -> None:
    """Whatever the folder is called: the keys are the same ones."""
    plain = Plan(**{**vars(plan), "directory": "/srv/app"})
    theirs, expected = (
        [
            line.partition("=")[0]
            for file in files("systemd", one, versions)
            for line in file.text.splitlines()
        ]
        for one in (plan, plain)
    )
    assert theirs == expected
    (line,) = (
        line
        for line in files("systemd", plan, versions)[0].text.splitlines()
        if line.startswith("WorkingDirectory=")
    )
    assert line.partition("=")[2].replace("%%", "%") == plan.directory
    assert not re.search("%(?!%)", line.replace("%%", ""))


@given(st.sampled_from(FIELDS), NASTY)  # fmt: skip
@settings(RELAXED, max_examples=300)
def test_text_that_cannot_be_quoted_is_refused(field: str, text: str) -> None:
    """A plan that exists has no control character in it, and its names are names."""
    plain = {"name": "a", "directory": "/a", "programs": "/bin", "app": "a:a"}
    try:
        plan = Plan(**{**plain, field: (text,) if field in {"domains", "websockets"} else text})  # type: ignore[arg-type]
    except Refused as refusal:
        said = str(refusal)
    else:
        said = ""
    if said:
        assert said.isprintable()
        return
    kept = getattr(plan, field)
    whole = "".join(kept)
    assert whole.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u2028]", whole)
    if field not in {"directory", "programs", "static"}:
        assert not re.search("[ ;{}\"'%$\\\\#]", whole)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "a b"}, "a service's name"),
        ({"name": "../x"}, "a service's name"),
        ({"app": "app"}, "module:name"),
        ({"app": "app:create('x')"}, "module:name"),
        ({"user": "web\nExecStartPre=/bin/sh"}, "small letters"),
        ({"domains": ("a;b",)}, "a domain"),
        ({"directory": "/a\nExecStartPre=/bin/sh"}, "control characters"),
        ({"directory": "relative"}, "absolute"),
        ({"directory": "/ends\\"}, "does not end"),
        ({"programs": '/quo"te'}, "quotes"),
        ({"static": "/a$document_root"}, "more than itself"),
        ({"certificate": "/c"}, "its key"),
        ({"socket": "/run/a b"}, "Unix socket"),
        ({"socket": "/run/" + "a" * 104}, "Unix socket"),
        ({"websockets": ("/ws/ {",)}, "path of WebSockets"),
    ],
)
def test_a_refusal_says_what_the_rule_is(changed: dict[str, object], why: str) -> None:
    """And shows what was refused, harmlessly."""
    with pytest.raises(Refused, match=re.escape(why)):
        Plan(**{"name": "a", "directory": "/a", "programs": "/bin", "app": "a:a", **changed})  # type: ignore[arg-type]
