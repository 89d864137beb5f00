"""Prices that wander."""

import random
import time

prices = {"EURUSD": 1.08, "GBPUSD": 1.27, "BTCUSD": 64000.0}


def tick_forever(publish, interval=0.25):
    """Moves every price, and tells ``publish``, four times a second."""
    while True:
        for symbol, price in list(prices.items()):
            prices[symbol] = round(price * random.uniform(0.999, 1.001), 5)
            publish(symbol, prices[symbol])
        time.sleep(interval)
