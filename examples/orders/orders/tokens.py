"""Who connects: a token in the query, signed with the project's key, good for an hour."""

from urllib.parse import parse_qs

from django.core import signing


def token_for(customer):
    return signing.dumps(customer, salt="websocket")


class TokenAuthMiddleware:
    """Puts the customer into the scope; None is nobody."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        query = parse_qs(scope["query_string"].decode("latin-1"))
        try:
            customer = signing.loads(query.get("token", [""])[0], salt="websocket", max_age=3600)
        except signing.BadSignature:
            customer = None
        return await self.app({**scope, "customer": customer}, receive, send)
