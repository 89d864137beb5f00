"""Which customers are connected, for the people in the shop: a set in Redis."""

import redis
import redis.asyncio
from django.conf import settings

_KEY = "orders:customers"


async def enter(customer):
    async with redis.asyncio.from_url(settings.REDIS_URL) as client:
        await client.sadd(_KEY, customer)


async def leave(customer):
    async with redis.asyncio.from_url(settings.REDIS_URL) as client:
        await client.srem(_KEY, customer)


def customers():
    with redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        return sorted(client.smembers(_KEY))
