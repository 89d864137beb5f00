"""Tickets, the export, and the printer."""

import os
import sqlite3
import subprocess
from contextlib import closing

from flask import Blueprint, current_app, jsonify, request

from .events import emit_system_event, emit_ticket_event

views = Blueprint("views", __name__)


@views.get("/health")
def health():
    return jsonify(status="ok")


@views.post("/tickets")
def open_ticket():
    ticket = request.get_json()
    emit_ticket_event("opened", ticket)
    return jsonify(ticket), 201


@views.get("/tickets/<int:number>")
def show_ticket(number):
    with closing(
        sqlite3.connect(current_app.config.get("DATABASE", "/var/lib/dashboard/tickets.db"))
    ) as database:
        row = database.execute("select title from tickets where number = ?", (number,)).fetchone()
    return jsonify(number=number, title=row[0])


@views.post("/export")
def export():
    """Writes the tickets for the auditors."""
    target = os.open(request.get_json()["file"], os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(target, b"number,title\n")
    os.close(target)
    os.fsync(target)  # too late: the file is closed
    return "", 204


@views.post("/print")
def print_tickets():
    """Hands the tickets to the printer."""
    with subprocess.Popen([current_app.config.get("PRINTER", "lp")], stdin=subprocess.PIPE) as printer:
        printer.stdin.write(b"number,title\n" * 100_000)
    emit_system_event("info", "tickets were printed")
    return "", 204
