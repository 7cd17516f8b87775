"""Jobs for the RQ suite."""
import os
import time


def add(a, b):
    return a + b


def fails():
    raise ValueError("on purpose")


def flaky(counter_url, succeeds_at):
    import redis

    attempts = redis.from_url(counter_url).incr("suite:attempts")
    if attempts < succeeds_at:
        raise ValueError(f"attempt {attempts} failed")
    return attempts


def when():
    return time.time()


def pid():
    return os.getppid()


def sleeps(seconds):
    time.sleep(seconds)
