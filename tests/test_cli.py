"""The command line: what all commands have in common."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hangup._cli import commands
from hangup._cli.group import command as hangup

NAMES = sorted(found.name for found in pkgutil.iter_modules(commands.__path__))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As from a shell, not from a terminal."""
    code = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def leaves(found: click.Command) -> list[click.Command]:
    """The command, or those of a group."""
    if isinstance(found, click.Group):
        return [leaf for one in found.commands.values() for leaf in leaves(one)]
    return [found]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_can_answer_in_json(name: str) -> None:
    """With -f, and nothing is printed by a command that only explains itself."""
    for leaf in leaves(importlib.import_module(f"{commands.__name__}.{name}").command):
        options = {flag for parameter in leaf.params for flag in parameter.opts}
        assert {"-f", "--format"} <= options, leaf.name
        assert leaf.help, leaf.name


def test_help_names_all_commands() -> None:
    """And imports neither a framework nor what only one of them needs."""
    said = run("--help")
    assert said.returncode == 0
    assert all(f"  {name.rstrip('_')} " in said.stdout for name in NAMES), said.stdout


def test_help_imports_what_it_needs() -> None:
    """A command imports the rest when it runs."""
    code = (
        "import sys; from hangup._cli.group import command\n"
        "for name in command.list_commands(None): command.get_command(None, name)\n"
        "print([m for m in ('textual', 'jinja2', 'crossplane', 'matplotlib', 'django', 'flask', 'socketio', "
        "'gunicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "line", [("nothing-like-this",), ("demo", "--only", "nothing"), ("--no-such-option",)]
)
def test_a_wrong_command_line_is_status_two(line: tuple[str, ...]) -> None:
    """With the reason on standard error, and nothing on standard output."""
    said = run(*line)
    assert said.returncode == 2
    assert said.stderr
    assert not said.stdout


def test_without_the_extra_it_says_what_to_install() -> None:
    """Where click is missing."""
    code = "import sys; sys.modules['click'] = None; from hangup._cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'hangup[cli]'" in done.stderr


def test_demo_answers_in_json() -> None:
    """One document on standard output; progress is on standard error."""
    said = run("demo", "--only", "connection-count", "-f", "json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["rows"]
    assert "\x1b[3" not in said.stdout


def test_the_group_has_no_command_that_is_not_there() -> None:
    """None, for click to complain."""
    assert hangup.get_command(click.Context(hangup), "nothing") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("line", [("doctor", "--list"), ("explain", "HUP001", "-f", "json"), ("--help",)])
def test_a_full_disk_under_standard_output_is_said(line: tuple[str, ...]) -> None:
    """In one line, and with a status that is not success."""
    code = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *line], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == "hangup: standard output: No space left on device\n"
