"""Tokens (JWT) that name the user: in a header of requests, and in the query of WebSockets, which cannot have one.

Access logs have queries, so a token for WebSockets is good for nothing else, and for seconds.
"""

from __future__ import annotations

import contextlib
import time
from urllib.parse import parse_qs

import jwt
from django.conf import settings

REQUESTS, WEBSOCKETS = "requests", "websockets"
SECONDS = {REQUESTS: 24 * 3600, WEBSOCKETS: 30}


def token_for(name: str, purpose: str) -> str:
    """Signed with the project's secret key."""
    claims = {"sub": name, "aud": purpose, "exp": int(time.time()) + SECONDS[purpose]}
    return jwt.encode(claims, settings.SECRET_KEY, "HS256")


def user_of(token: str, purpose: str) -> str | None:
    """Whose token it is; None if it is nobody's, or not any more."""
    with contextlib.suppress(jwt.InvalidTokenError):
        return jwt.decode(token, settings.SECRET_KEY, ["HS256"], audience=purpose)["sub"]
    return None


class TokenMiddleware:
    """Puts who connects into the scope, as ``user``; None is nobody."""

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send):
        """ASGI's."""
        [token] = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[:1]
        return await self.app({**scope, "user": user_of(token, WEBSOCKETS)}, receive, send)
