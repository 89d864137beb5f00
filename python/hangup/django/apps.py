"""Where Django starts hangup."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from .. import _install, _mode, logfilter
from . import conf


class HangupConfig(AppConfig):  # type: ignore[misc]
    """Django's. The label is what migrations and ``--app`` would call it."""

    name = "hangup.django"
    label = "hangup_django"
    verbose_name = "hangup"

    def ready(self) -> None:
        """Django's, once per process, when the settings are there and logging is configured."""
        from .checks import check, check_deployment

        checks.register(check, "hangup")
        checks.register(check_deployment, "hangup", deploy=True)
        settings, _ = conf.read()
        mode = _mode.mode()
        _install.install()
        if mode == _mode.ON:
            logfilter.install(settings.LOG, summary_every=settings.LOG_SUMMARY)
        if mode != _mode.OFF:
            _install.tell_django_of_clients()
