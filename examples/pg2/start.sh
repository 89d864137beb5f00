#!/bin/sh
set -e
exec gunicorn --config gunicorn.conf.py app:app
