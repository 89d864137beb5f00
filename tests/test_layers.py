"""Who may import whom, who may patch, where errno and unsafe may stand: the rules of the house as assertions."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "python" / "hangup"
CORE = ROOT / "crates" / "hangup-core" / "src"
LOAD = ROOT / "crates" / "hangup-load" / "src"
FRAMEWORKS = ("gunicorn", "flask", "django", "gevent", "eventlet", "socketio", "engineio", "simple_websocket")

pytestmark = pytest.mark.skipif(not CORE.is_dir(), reason="needs the source tree")


def test_importing_hangup_imports_no_framework() -> None:
    """The package and its gunicorn hooks can be imported anywhere."""
    code = f"import hangup, hangup.gunicorn, hangup.django, sys; print([f for f in {FRAMEWORKS} if f in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_hangup_starts_no_thread() -> None:
    """Nothing native runs before it is needed: gunicorn forks."""
    code = "import hangup, os; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_frameworks_are_imported_inside_functions_only() -> None:
    """At module level only the modules that fail to import without a framework may name it."""
    found = []
    for path in PYTHON.rglob("*.py"):
        if "_demo" in path.parts or path.parent.is_relative_to(PYTHON / "django"):
            continue
        if path.parent == PYTHON / "_green" and path.stem in FRAMEWORKS:
            continue
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            found += [(path.name, name) for name in names if name.split(".")[0] in FRAMEWORKS]
    assert found == []


def test_exceptions_import_nothing_of_ours() -> None:
    """They are what everything else imports."""
    tree = ast.parse((PYTHON / "exceptions.py").read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level > 0]


#: Assignments to attributes of names other than self: each object is made in the same file.
OWN_OBJECTS = {
    ("faces.py", "face", "_turn"),  # the application's face shares the server's turn to write
    ("gunicorn.py", "chained", "_guards"),  # the hook that install() makes
    ("threads.py", "conn", "data_ready"),  # what gunicorn would find out by waiting
    ("_endpoints.py", "window", "pending"),  # the tracker's own windows
    ("_endpoints.py", "window", "settled"),
    ("_endpoints.py", "window", "ended"),
    ("middleware.py", "request", "hangup"),  # what Django's middleware is for: requests that know more
    ("middleware.py", "request", "_stream"),
    ("middleware.py", "response", "hangup"),
    ("middleware.py", "response", "streaming_content"),
    ("flask.py", "response", "response"),  # what after_request is for
    ("flask.py", "response", "status_code"),
    ("tasks.py", "socket", "last_ping"),  # the state that an engineio.Socket has its transport keep:
    ("engineio.py", "socket", "upgrading"),  # here we are its transport
    ("moves.py", "socket", "session"),  # here it goes on in another process
    ("belongings.py", "session", "closed"),
    ("commands.py", "lexer", "whitespace_split"),  # the doctor's own shlex
    ("commands.py", "lexer", "commenters"),
}


def test_only_install_sets_attributes_of_foreign_objects() -> None:
    """`server.worker_class = ...` and the like stand in _install.py; elsewhere our own objects are changed."""
    ours = {
        "self",
        "cls",
        "error",
        "record",
        "known",
    }  # instances of our classes, and a record being filtered
    found = set()
    for path in PYTHON.rglob("*.py"):
        if path.name == "_install.py" or "_demo" in path.parts:
            continue
        # The doctor's facts are put together from many files.
        ours_here = ours | ({"service", "facts"} if path.parent == PYTHON / "_doctor" / "reading" else set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr":
                found.add((path.name, "setattr", str(node.lineno)))
            for target in node.targets if isinstance(node, ast.Assign) else []:
                for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if (
                        isinstance(part, ast.Attribute)
                        and isinstance(part.value, ast.Name)
                        and part.value.id not in ours_here
                    ):
                        found.add((path.name, part.value.id, part.attr))
    assert found - OWN_OBJECTS == set()


def test_the_core_does_not_know_python() -> None:
    """pyo3 is not among the dependencies of hangup-core, with any feature."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    tree = subprocess.run(
        ["cargo", "tree", "--offline", "-p", "hangup-core", "-e", "normal", "--all-features"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "hangup-core" in tree.stdout
    assert "pyo3" not in tree.stdout


def rust(path: Path) -> str:
    """The code of a Rust file, without comments."""
    return re.sub(r"//.*", "", path.read_text())


def test_unsafe_stands_in_one_module() -> None:
    """fd/sys.rs alone allows it."""
    found = {str(p.relative_to(CORE)) for p in CORE.rglob("*.rs") if re.search(r"\bunsafe\b", rust(p))}
    assert found == {"fd/sys.rs", "fd/sys/memory.rs"}
    elsewhere = [*(ROOT / "src").rglob("*.rs"), *LOAD.rglob("*.rs")]
    assert not [p.name for p in elsewhere if re.search(r"\bunsafe\b", rust(p))]


def test_libc_is_called_in_one_file() -> None:
    """errno values and system calls come through fd/sys.rs."""
    assert [p.name for p in CORE.rglob("*.rs") if "libc::" in rust(p)] == ["sys.rs"]


def test_one_place_closes() -> None:
    """close(2) of a socket is called from GuardedFd::destroy and nowhere else."""
    callers = [p.name for p in CORE.rglob("*.rs") if "sys::close(" in rust(p)]
    assert callers == ["guarded.rs"]
    assert rust(CORE / "fd" / "guarded.rs").count("sys::close(") == 1


def test_one_place_writes() -> None:
    """send(2), sendmsg(2) and sendfile(2) are called under a lane guard and nowhere else."""
    for call in ("sys::send(", "sys::sendmsg(", "sys::sendfile("):
        assert [p.name for p in CORE.rglob("*.rs") if call in rust(p)] == ["users.rs"]


def test_no_file_is_over_four_hundred_lines() -> None:
    """What outgrows that is moved."""
    files = [*PYTHON.rglob("*.py"), *CORE.rglob("*.rs"), *LOAD.rglob("*.rs"), *(ROOT / "src").rglob("*.rs")]
    assert [(p.name, n) for p in files if (n := len(p.read_text().splitlines())) > 400] == []
