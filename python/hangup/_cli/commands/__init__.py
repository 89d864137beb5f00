"""The subcommands of ``hangup``, one in each module."""
