#!/bin/sh
# exec: gunicorn is process 1 of the container, and gets the signals of "docker stop".
set -e
exec gunicorn --config gunicorn.conf.py app:app
