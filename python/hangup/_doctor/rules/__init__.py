"""The rules, by what they are about: ``HUP1xx`` gunicorn … ``HUP7xx`` versions. Each is declared where it stands."""
