"""nginx's configuration, by crossplane: what holds in each location that proxies, with what it inherits."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from typing import Any, Optional

from ..facts import Directive, Facts, Location, Upstream
from ..values import Place, Value
from .files import Unreadable, read
from .files import shown as name_of

#: What stands for a file that is included, and not here.
MISSING = "include"
_MOST_FILES = 200
_DEEPEST = 40
#: Directives that add up. They are inherited as long as a level has none of its own.
_TOGETHER = ("proxy_set_header",)
_Scope = dict[str, list[Directive]]
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SPANS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def looks_like_it(text: str) -> bool:
    """Whether a file is a configuration of nginx that proxies."""
    return "{" in text and bool(re.search(r"^\s*(proxy_pass|upstream)\s", text, re.MULTILINE))


class Nginx:
    """Reads a file and what it includes, itself: crossplane would follow an ``include`` wherever that leads."""

    def __init__(self, path: str, facts: Facts) -> None:
        self._folder = os.path.dirname(os.path.abspath(path))
        self._facts = facts
        self._upstreams: dict[str, Upstream] = {}
        self._proxies: list[tuple[int, bool, str, str, Place, _Scope]] = []
        self._servers = 0
        self.read: list[str] = []
        self.connections: Optional[Value] = None
        self._level(self._parsed(path), {}, 0, [])

    def locations(self) -> Iterator[Location]:
        """Those that proxy, with their upstreams."""
        for server, is_tls, modifier, path, place, scope in self._proxies:
            target = scope["proxy_pass"][-1].arguments[0]
            name = re.sub(r"^\w+://", "", target).partition("/")[0]
            sends = {
                header.arguments[0].lower(): header
                for header in scope.get("proxy_set_header", ())
                if len(header.arguments) > 1
            }
            upstream, is_complete = self._upstreams.get(name), MISSING not in scope
            yield Location(server, modifier, path, place, scope, upstream, target, is_tls, sends, is_complete)

    def _parsed(self, path: str) -> list[tuple[str, dict[str, Any]]]:
        shown = name_of(path)
        if path in self.read or len(self.read) >= _MOST_FILES:
            return []
        self.read.append(path)
        try:
            import crossplane
        except ImportError:
            self._facts.notice("needs crossplane to be read: pip install 'hangup[cli]'", Place(shown))
            return []
        try:
            read(path)
            parsed = crossplane.parse(path, single=True, check_ctx=False, check_args=False)["config"][0]
        except (Unreadable, OSError) as error:
            self._facts.notice(f"cannot be read: {error}", Place(shown), "HUP400")
            return []
        except RecursionError:
            self._facts.notice("cannot be read: its blocks are too deep", Place(shown), "HUP400")
            return []
        for failure in parsed["errors"]:
            what = re.sub(r" in .*$", "", str(failure["error"]), flags=re.DOTALL) or "it ends too early"
            self._facts.notice(f"cannot be read: {what}", Place(shown, failure["line"] or 0), "HUP400")
        return [(shown, directive) for directive in parsed["parsed"]]

    def _included(self, directive: dict[str, Any], shown: str) -> Iterator[tuple[str, dict[str, Any]]]:
        name = os.path.join(self._folder, directive["args"][0]) if directive["args"] else ""
        found = sorted(glob.glob(name)) if "\0" not in name else []
        if not found and not glob.has_magic(name):
            where = Place(shown, directive["line"])
            self._facts.notice(f"includes {directive['args'][0:1]}, which is not here", where)
            yield shown, {"directive": MISSING, "line": directive["line"], "args": []}
        for path in found:
            yield from self._flat(self._parsed(path))

    def _flat(self, block: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
        """A block, with what is included in the places of the includes."""
        result = []
        for shown, directive in block:
            if directive["directive"] == "include":
                result += list(self._included(directive, shown))
            else:
                result.append((shown, directive))
        return result

    def _level(
        self, block: list[tuple[str, dict[str, Any]]], above: _Scope, depth: int, inside: list[Any]
    ) -> None:
        if depth > _DEEPEST:
            return
        block = self._flat(block)
        own: _Scope = {}
        for shown, directive in block:
            if "block" not in directive:
                each = Directive(
                    directive["directive"], tuple(directive["args"]), Place(shown, directive["line"])
                )
                own.setdefault(each.name, []).append(each)
        scope = {
            name: [Directive(each.name, each.arguments, each.place, True) for each in found]
            for name, found in above.items()
            if name not in ("proxy_pass", "return")
        }
        scope.update(own)
        self._proxy(own, scope, inside)
        for shown, directive in block:
            if "block" in directive:
                inner = [(shown, each) for each in directive["block"]]
                self._block(shown, directive, inner, scope, depth, inside)

    def _proxy(self, own: _Scope, scope: _Scope, inside: list[Any]) -> None:
        if inside and inside[-1][0] == "location" and own.get("proxy_pass", [None])[-1] is not None:
            if not own["proxy_pass"][-1].arguments:
                return
            _, arguments, place = inside[-1]
            modifier, path = arguments if len(arguments) == 2 else ("", (arguments or [""])[0])
            is_tls = any("ssl" in each.arguments for each in scope.get("listen", ()))
            self._proxies.append((self._servers, is_tls, modifier, path, place, scope))

    def _block(
        self,
        shown: str,
        directive: dict[str, Any],
        inner: list[tuple[str, dict[str, Any]]],
        scope: _Scope,
        depth: int,
        inside: list[Any],
    ) -> None:
        name, place = directive["directive"], Place(shown, directive["line"])
        if name == "upstream" and directive["args"]:
            self._upstream(directive["args"][0], place, self._flat(inner))
        elif name == "events":
            for where, each in self._flat(inner):
                if (
                    each["directive"] == "worker_connections"
                    and each["args"][0:1]
                    and each["args"][0].isdigit()
                ):
                    self.connections = Value(int(each["args"][0][:12]), Place(where, each["line"]))
        elif name in ("http", "server", "location", "if", "limit_except"):
            self._servers += name == "server"
            self._level(inner, scope, depth + 1, [*inside, (name, directive["args"], place)])

    def _upstream(self, name: str, place: Place, block: list[tuple[str, dict[str, Any]]]) -> None:
        servers = []
        directives = {}
        for shown, each in block:
            words = tuple(each["args"])
            if each["directive"] == "server" and words and not {"down", "backup"} & set(words[1:]):
                servers.append(words[0])
            else:
                directives[each["directive"]] = Directive(
                    each["directive"], words, Place(shown, each["line"])
                )
        self._upstreams[name] = Upstream(name, tuple(servers), directives, place)


def span(text: str) -> Optional[float]:
    """Seconds of a time as nginx writes it, ``1m30s``; None for what is none, or a variable."""
    parts = re.findall(r"(\d{1,12})(ms|[smhdw]?)\s*", text)
    if not parts or re.sub(r"(\d{1,12})(ms|[smhdw]?)\s*", "", text):
        return None
    return sum(int(number) * _SPANS[unit] for number, unit in parts)


def size(text: str) -> Optional[float]:
    """Bytes of a size as nginx writes it, ``10m``; ``inf`` for 0, where that means no limit."""
    match = re.fullmatch(r"(\d{1,12})([kmg]?)", text.lower())
    if not match:
        return None
    return int(match[1]) * _SIZES[match[2]] or float("inf")


def serving(locations: list[Location], path: str) -> Iterator[Location]:
    """In each server that proxies anything: the location that nginx would choose for a path, if it proxies."""
    for server in sorted({location.server for location in locations}):
        chosen = _chosen([location for location in locations if location.server == server], path)
        if chosen:
            yield chosen


def _chosen(locations: list[Location], path: str) -> Optional[Location]:
    exact = [each for each in locations if each.modifier == "=" and each.path == path]
    if exact:
        return exact[0]
    prefixes = [each for each in locations if each.modifier in ("", "^~") and path.startswith(each.path)]
    longest = max(prefixes, key=lambda each: len(each.path), default=None)
    if longest is None or longest.modifier != "^~":
        for each in locations:
            if each.modifier in ("~", "~*") and _matches(each, path):
                return each
    return longest


def _matches(location: Location, path: str) -> bool:
    if len(location.path) > 200 or re.search(r"[+*}]\)?[+*{]", location.path):
        return False  # one that could take for ever
    flags = re.IGNORECASE if location.modifier == "~*" else 0
    try:
        return bool(re.search(re.sub(r"\(\?<(?![=!])", "(?P<", location.path), path, flags))
    except re.error:
        return False
