"""Changes to a text, at places that its syntax tree names."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator


class Edits:
    """Collects changes, and makes them all at once. Offsets of a tree are in bytes, and so are these."""

    def __init__(self, text: str) -> None:
        self._data = text.encode()
        self._lines = [0]
        for line in self._data.split(b"\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._changes: dict[tuple[int, int], str] = {}
        self.newline = "\r\n" if b"\r\n" in self._data else "\n"

    def replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Another text for an expression or a statement."""
        self._changes[self._span(node)] = text

    def insert_after(self, node: ast.expr, text: str) -> None:
        """More text behind an expression."""
        end = self._span(node)[1]
        self._changes[(end, end)] = text

    def append(self, text: str) -> None:
        """At the end."""
        end = len(self._data)
        gap = "" if not end or self._data.endswith(b"\n") else self.newline
        self._changes[(end, end)] = gap + text

    def remove(self, tree: ast.Module, statements: Iterable[ast.stmt]) -> None:
        """Statements with their lines; the first of a block that would be left empty becomes ``pass``."""
        gone = set(statements)
        for body in _bodies(tree):
            mine = [node for node in body if node in gone]
            kept = mine[:1] if len(mine) == len(body) and body is not tree.body else []
            for node in mine:
                start, end = self._span(node)
                first, last = self._lines[node.lineno - 1], self._lines[node.end_lineno or node.lineno]
                alone = not self._data[first:start].strip() and self._data[end:last].strip()[:1] in (
                    b"",
                    b"#",
                )
                if node in kept or not alone:
                    self._changes[(start, end)] = "pass"
                else:
                    self._changes[(first, min(last, len(self._data)))] = ""

    def made(self) -> str:
        """The text with all changes; of two that overlap, the outer one."""
        parts, at = [], 0
        for (start, end), text in sorted(self._changes.items(), key=lambda item: (item[0][0], -item[0][1])):
            if start < at:
                continue
            parts += [self._data[at:start], text.encode()]
            at = end
        text = b"".join([*parts, self._data[at:]]).decode()
        return text if self._data[:1] in (b"\r", b"\n") else text.lstrip("\r\n")

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[end_line - 1] + end_column


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body:
                yield body
