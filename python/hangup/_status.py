"""Where hangup stands in other people's code, and why not where it does not."""

from __future__ import annotations

from ._mode import mode

TYPE_CHECKING = False  # typing takes longer to import than the package
if TYPE_CHECKING:
    from typing import Any

_integrations: dict[str, dict[str, str]] = {}


def record(integration: str, **facts: str) -> None:
    """Replaces what is known of ``integration``. ``state`` is ``on``, ``stock`` or ``off``."""
    _integrations[integration] = facts


def status() -> dict[str, Any]:
    """What is guarded in this process.

    Returns:
        ``{"version": str, "mode": "on"|"observe"|"off", "integrations": {name: facts}}``. The facts are
        strings: always ``state`` (``on``, ``stock`` or ``off``) and ``reason``, and what else there is to say,
        such as ``version``, ``worker`` and ``tls``.
    """
    from . import __version__

    integrations = {name: dict(facts) for name, facts in sorted(_integrations.items())}
    return {"version": __version__, "mode": mode(), "integrations": integrations}
