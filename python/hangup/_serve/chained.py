"""gunicorn's configuration where there is one already: theirs, and hangup's hooks with it.

A file and no module, because gunicorn runs a file anew at each HUP, so that theirs is read anew too.
"""

import os

import hangup.gunicorn
from hangup._serve.command import CONFIGURATION
from hangup._serve.theirs import names_of

globals().update(names_of(os.environ[CONFIGURATION]))
hangup.gunicorn.install(globals())
