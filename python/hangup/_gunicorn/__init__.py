"""gunicorn's side: which workers are guarded, and how their connections get two faces."""
