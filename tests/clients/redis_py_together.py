"""What redis-py has for clients that work together, against a server: `redis_py_together.py PORT PROTOCOL`. Prints one line
per check; exits 1 if any failed."""
import asyncio
import queue
import sys
import threading
import time

import redis
import redis.asyncio
from redis.cache import CacheConfig
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, WatchError

PORT, PROTOCOL = int(sys.argv[1]), int(sys.argv[2])
WAIT = 10
checks = []


def check(function):
    checks.append(function)
    return function


def client(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, protocol=PROTOCOL, decode_responses=True, **options)


def in_threads(count, work):
    errors = []

    def run(n):
        try:
            work(n)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    [t.start() for t in threads]
    [t.join(WAIT) for t in threads]
    assert not any(t.is_alive() for t in threads) and not errors, errors


def until(what, holds):
    deadline = time.time() + WAIT
    while not holds():
        assert time.time() < deadline, f"{what} did not happen"
        time.sleep(0.005)


@check
def transactions():
    r = client()
    with r.pipeline(transaction=True) as p:
        p.set("t", 1).incr("t").lpush("t", "x").get("t")
        replies = p.execute(raise_on_error=False)
    assert replies[:2] == [True, 2] and isinstance(replies[2], redis.ResponseError) and replies[3] == "2"
    with r.pipeline() as p:
        p.set("t", 5).execute_command("NOSUCH")
        try:
            p.execute()
        except redis.ResponseError as error:
            assert "unknown command" in str(error)
    assert r.get("t") == "2"


@check
def watching():
    r, other = client(), client()
    r.set("w", 1)
    with r.pipeline() as p:
        p.watch("w")
        other.set("w", 2)
        p.multi()
        p.set("w", 3)
        try:
            p.execute()
        except WatchError:
            pass
        else:
            raise AssertionError("no WatchError")
        p.watch("w")
        p.unwatch()
        other.set("w", 4)
        assert p.set("w", int(p.get("w") or 0) + 1 if p.watching else 5).execute() == [True]
    assert r.get("w") == "5"


@check
def transaction_helper_loses_no_update():
    client().set("sum", 0)

    def add(pipe):
        value = int(pipe.get("sum"))
        pipe.multi()
        pipe.set("sum", value + 1)

    in_threads(6, lambda _: [client().transaction(add, "sum") for _ in range(30)])
    assert client().get("sum") == "180"


@check
def publishing_to_a_thread():
    r = client()
    heard = queue.Queue()
    p = r.pubsub(ignore_subscribe_messages=True)
    p.subscribe(**{"news": heard.put})
    p.psubscribe(**{"n?ws*": heard.put})
    thread = p.run_in_thread(sleep_time=0.01, daemon=True)
    until("the subscriptions", lambda: r.pubsub_numsub("news") == [("news", 1)] and r.pubsub_numpat() == 1)
    assert r.publish("news", "hello") == 2 and r.publish("nows!", "bye") == 1
    got = [heard.get(timeout=WAIT) for _ in range(3)]
    assert sorted((m["type"], m["channel"], m["data"]) for m in got) == [
        ("message", "news", "hello"), ("pmessage", "news", "hello"), ("pmessage", "nows!", "bye")]
    assert "news" in r.pubsub_channels()
    thread.stop()
    thread.join(WAIT)
    p.close()
    until("the end of the subscriptions", lambda: r.pubsub_channels() == [] and r.pubsub_numpat() == 0)


@check
def subscribing_by_hand():
    r = client()
    with r.pubsub() as p:
        p.subscribe("a", "b")
        kinds = [p.get_message(timeout=WAIT)["type"] for _ in range(2)]
        assert kinds == ["subscribe", "subscribe"]
        r.publish("b", "x")
        assert p.get_message(timeout=WAIT)["data"] == "x"
        # In RESP3 redis-py takes the reply for a message.
        if PROTOCOL == 2:
            p.ping("are you there")
            assert p.get_message(timeout=WAIT)["data"] == "are you there"
        p.unsubscribe("a")
        message = p.get_message(timeout=WAIT)
        assert (message["type"], message["data"]) == ("unsubscribe", 1)
    with r.pubsub() as p:
        p.ssubscribe("shard")
        assert p.get_message(timeout=WAIT)["type"] == "ssubscribe"
        assert r.spublish("shard", "m") == 1 and p.get_message(timeout=WAIT)["data"] == "m"


@check
def locks():
    r = client()
    state = {"inside": 0, "most": 0, "count": 0}

    def work(_):
        for _ in range(10):
            with client().lock("lock", timeout=5, blocking_timeout=WAIT, sleep=0.002):
                state["inside"] += 1
                state["most"] = max(state["most"], state["inside"])
                state["count"] += 1
                state["inside"] -= 1

    in_threads(5, work)
    assert state == {"inside": 0, "most": 1, "count": 50} and not r.exists("lock")
    lock, other = r.lock("lock", timeout=5), r.lock("lock", timeout=5, blocking=False)
    assert lock.acquire() and not other.acquire() and lock.owned() and other.locked()
    assert lock.extend(10) and 5 < r.ttl("lock") <= 15 and lock.reacquire() and r.ttl("lock") <= 5
    r.set("lock", "somebody else")
    try:
        lock.release()
    except LockNotOwnedError:
        r.delete("lock")
    try:
        other.release()
    except LockError:
        return
    raise AssertionError("a lock was released that nobody held")


@check
def scripts():
    r = client()
    script = r.register_script("return {KEYS[1], ARGV[1], redis.call('INCRBY', KEYS[1], ARGV[1])}")
    r.delete("n")
    assert script(keys=["n"], args=[5]) == ["n", "5", 5]
    assert r.script_exists(script.sha, "0" * 40) == [True, False]
    r.script_flush()
    assert script(keys=["n"], args=[1]) == ["n", "1", 6]
    r.script_flush()
    with r.pipeline() as p:
        script(keys=["n"], args=[1], client=p)
        assert p.execute() == [["n", "1", 7]]
    try:
        r.evalsha("0" * 40, 0)
    except NoScriptError:
        pass
    try:
        r.eval("return redis.error_reply('MINE own error')", 0)
    except redis.ResponseError as error:
        assert str(error) == "MINE own error"


@check
def functions():
    r = client()
    code = "#!lua name=lib\nredis.register_function('twice', function(keys, args) return args[1] * 2 end)"
    assert r.function_load(code, replace=True) == "lib" and r.fcall("twice", 0, 21) == 42
    assert "twice" in str(r.function_list("lib")) and r.function_delete("lib")
    assert r.function_list("lib") == []


@check
def blocking():
    r = client()
    got = queue.Queue()
    waiting = threading.Thread(target=lambda: got.put(client().blpop(["q1", "q2"], timeout=WAIT)))
    waiting.start()
    until("blocking", lambda: int(r.info("clients")["blocked_clients"]) == 1)
    r.rpush("q2", "x")
    assert tuple(got.get(timeout=WAIT)) == ("q2", "x")
    waiting.join(WAIT)
    assert r.blpop("q1", timeout=0.01) is None
    r.rpush("q1", "a", "b")
    assert r.blmove("q1", "q2", 1, "LEFT", "RIGHT") == "a" and r.brpoplpush("q1", "q2", 1) == "b"
    assert r.blmpop(1, 2, "q1", "q2", direction="RIGHT", count=5) in (["q2", ["a", "b"]], ["q2", ["b", "a"]])
    r.zadd("z", {"m": 1.5})
    assert list(r.bzpopmin("z", timeout=1)) == ["z", "m", 1.5] and r.bzpopmax("z", timeout=0.01) is None


@check
def streams():
    r = client()
    r.delete("s")
    ids = [r.xadd("s", {"n": n}) for n in range(5)]
    assert r.xlen("s") == 5 and [i for i, _ in r.xrange("s")] == ids
    assert r.xrevrange("s", count=1)[0] == (ids[4], {"n": "4"})
    assert r.xtrim("s", maxlen=4, approximate=False) == 1 and r.xdel("s", ids[1]) == 1
    assert r.xinfo_stream("s")["length"] == 3 and r.xread({"s": ids[3]}, block=100)


@check
def stream_groups():
    r = client()
    r.delete("g")
    assert r.xgroup_create("g", "workers", id="0", mkstream=True)
    done = queue.Queue()

    def consume(n):
        mine = client()
        while (found := mine.xreadgroup("workers", f"c{n}", {"g": ">"}, count=3, block=300)):
            entries = found["g"][0] if isinstance(found, dict) else found[0][1]
            for entry_id, fields in entries:
                done.put(int(fields["n"]))
                if int(fields["n"]) % 10:
                    assert mine.xack("g", "workers", entry_id) == 1

    producer = threading.Thread(target=lambda: [r.xadd("g", {"n": n}) for n in range(200)])
    producer.start()
    in_threads(4, consume)
    producer.join(WAIT)
    assert sorted(done.queue) == list(range(200))
    pending = r.xpending("g", "workers")
    assert pending["pending"] == 20 and sum(int(c["pending"]) for c in pending["consumers"]) == 20
    assert len(r.xpending_range("g", "workers", "-", "+", 100)) == 20
    claimed = r.xautoclaim("g", "workers", "rescue", 0, count=100)
    assert len(claimed[1]) == 20 and r.xack("g", "workers", *[i for i, _ in claimed[1]]) == 20
    group = r.xinfo_groups("g")[0]
    assert group["pending"] == 0 and group["consumers"] == 5 and r.xgroup_destroy("g", "workers") == 1


@check
def caching_with_invalidation():
    if PROTOCOL != 3:
        return
    r, other = client(cache_config=CacheConfig()), client()
    other.set("cached", "old")
    assert r.get("cached") == "old" and r.get("cached") == "old" and r.get_cache().size == 1
    other.set("cached", "new")
    until("the invalidation", lambda: r.get("cached") == "new")
    r.close()


@check
def keyspace_notifications():
    r = client()
    r.config_set("notify-keyspace-events", "KEA")
    with r.pubsub(ignore_subscribe_messages=True) as p:
        p.psubscribe("__keyevent@0__:*")
        p.get_message(timeout=WAIT)
        client().set("noticed", 1, px=30)
        events = []
        deadline = time.time() + WAIT
        while "expired" not in events and time.time() < deadline:
            if message := p.get_message(timeout=0.1):
                events.append(message["channel"].split(":")[1])
        assert events == ["set", "expire", "expired"], events
    r.config_set("notify-keyspace-events", "")


@check
def with_asyncio():
    async def main():
        r = redis.asyncio.Redis(host="127.0.0.1", port=PORT, protocol=PROTOCOL, decode_responses=True)
        await r.set("async", 0)
        async with r.pubsub(ignore_subscribe_messages=True) as p:
            await p.subscribe("async")
            await p.get_message(timeout=WAIT)

            async def add():
                for _ in range(20):
                    async with r.lock("async-lock", timeout=5, sleep=0.001):
                        await r.set("async", int(await r.get("async")) + 1)

            await asyncio.gather(*[add() for _ in range(5)])
            await r.publish("async", "done")
            message = None
            while message is None:
                message = await p.get_message(timeout=WAIT)
            assert message["data"] == "done" and await r.get("async") == "100"
        popped, _ = await asyncio.gather(r.blpop("async-queue", timeout=WAIT), r.rpush("async-queue", "x"))
        assert tuple(popped) == ("async-queue", "x")
        await r.aclose()

    asyncio.run(main())


def main():
    client().flushall()
    failed = 0
    for function in checks:
        try:
            function()
            print(f"ok {function.__name__}")
        except Exception as error:
            failed += 1
            print(f"FAILED {function.__name__}: {type(error).__name__}: {error}")
    return 1 if failed else 0


sys.exit(main())
