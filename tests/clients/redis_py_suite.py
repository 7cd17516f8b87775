"""redis-py against a server: `redis_py_suite.py PORT PROTOCOL [CA CERT KEY]`; with certificates, over TLS.

Prints one line per check; exits 1 if any failed."""
import sys
import threading

import redis

PORT, PROTOCOL = int(sys.argv[1]), int(sys.argv[2])
PORT_PARAMETER, TLS = "port", {}
if len(sys.argv) > 3:
    PORT_PARAMETER = "tls-port"
    TLS = dict(zip(["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"], sys.argv[3:6]))
checks = []


def check(function):
    checks.append(function)
    return function


def client(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, protocol=PROTOCOL, ssl=bool(TLS), **TLS, **options)


@check
def decode_responses():
    r = client(decode_responses=True)
    assert r.set("text", "grüße") is True
    assert r.get("text") == "grüße"
    assert client().get("text") == "grüße".encode()
    assert r.get("nosuch") is None


@check
def strings():
    r = client(decode_responses=True)
    assert r.mset({"a": 1, "b": 2}) is True
    assert r.mget("a", "b", "nosuch") == ["1", "2", None]
    assert r.incrbyfloat("a", 0.5) == 1.5
    assert r.set("a", "x", nx=True) is None
    assert r.set("a", "y", get=True) == "1.5"
    assert r.set("t", "v", ex=100) and 95 <= r.ttl("t") <= 100
    assert r.getex("t", persist=True) == "v" and r.ttl("t") == -1
    assert r.setrange("a", 2, "zz") == 4 and r.getrange("a", 0, -1) == "y\0zz"
    assert r.getdel("a") == "y\0zz" and not r.exists("a")


@check
def lists():
    r = client(decode_responses=True)
    assert r.rpush("l", "a", "b", "c", "a") == 4
    assert r.lrange("l", 0, -1) == ["a", "b", "c", "a"]
    assert r.lpos("l", "a", count=0) == [0, 3]
    assert r.lpop("l", 2) == ["a", "b"]
    assert r.lmove("l", "m", "LEFT", "RIGHT") == "c"
    assert r.lmpop(2, "nosuch", "l", direction="LEFT", count=5) == ["l", ["a"]]


@check
def sets():
    r = client(decode_responses=True)
    r.sadd("s1", *range(10))
    r.sadd("s2", *range(5, 15))
    assert r.sinter("s1", "s2") == {"5", "6", "7", "8", "9"}
    assert r.sunionstore("s3", "s1", "s2") == 15
    assert r.smismember("s1", ["1", "99"]) == [1, 0]
    assert r.sintercard(2, ["s1", "s2"], limit=3) == 3
    assert set(r.sscan_iter("s3", count=3)) == {str(i) for i in range(15)}


@check
def sorted_sets():
    r = client(decode_responses=True)
    assert r.zadd("z", {"one": 1, "two": 2, "three": 3.5}) == 3
    scored = r.zrange("z", 0, -1, withscores=True)
    assert [tuple(x) for x in scored] == [("one", 1.0), ("two", 2.0), ("three", 3.5)]
    assert r.zscore("z", "three") == 3.5 and r.zincrby("z", 1, "one") == 2.0
    assert r.zrangebyscore("z", "-inf", "(3.5") == ["one", "two"]
    assert r.zpopmax("z") in ([("three", 3.5)], ["three", 3.5])
    r.zadd("big", {f"m{i}": i for i in range(500)})
    assert len(dict(r.zscan_iter("big"))) == 500


@check
def hashes():
    r = client(decode_responses=True)
    assert r.hset("h", mapping={"name": "Mary", "age": 7}) == 2
    assert r.hgetall("h") == {"name": "Mary", "age": "7"}
    assert r.hincrby("h", "age", 3) == 10 and r.hmget("h", "age", "x") == ["10", None]
    assert r.hexpire("h", 100, "age") == [1] and 95 <= r.httl("h", "age")[0] <= 100
    assert r.hpersist("h", "age") == [1]
    r.delete("big")
    r.hset("big", mapping={f"f{i}": i for i in range(500)})
    assert len(dict(r.hscan_iter("big", count=20))) == 500


@check
def scanning():
    r = client(decode_responses=True)
    r.flushall()
    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.set(f"scan:{i}", i)
        p.execute()
    assert set(r.scan_iter("scan:*", count=50)) == {f"scan:{i}" for i in range(1000)}
    assert len(r.keys("scan:1?")) == 10 and r.dbsize() == 1000


@check
def pipelines():
    r = client(decode_responses=True)
    with r.pipeline(transaction=False) as p:
        p.set("p", 1).incr("p").get("p").lpush("p", "x")
        replies = p.execute(raise_on_error=False)
    assert replies[:3] == [True, 2, "2"] and isinstance(replies[3], redis.ResponseError)
    with r.pipeline(transaction=False) as p:
        for i in range(5000):
            p.incr("count")
        assert p.execute() == list(range(1, 5001))


@check
def pool_and_threads():
    kind = {"connection_class": redis.SSLConnection, **TLS} if TLS else {}
    pool = redis.ConnectionPool(host="127.0.0.1", port=PORT, protocol=PROTOCOL, max_connections=20, **kind)
    r = redis.Redis(connection_pool=pool)
    r.delete("shared")
    work = lambda: [r.incr("shared") for _ in range(200)]
    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert int(r.get("shared")) == 1600
    pool.disconnect()


@check
def databases_and_binary():
    a, b = client(db=0), client(db=1)
    a.set(b"\x00\xff", bytes(range(256)))
    assert a.get(b"\x00\xff") == bytes(range(256)) and b.get(b"\x00\xff") is None
    assert a.move(b"\x00\xff", 1) and b.exists(b"\x00\xff")
    big = b"x" * (8 << 20)
    a.set("big-value", big)
    assert a.get("big-value") == big and a.strlen("big-value") == len(big)


@check
def errors():
    r = client()
    r.set("str", "v")
    for call in (lambda: r.lpush("str", 1), lambda: r.incr("str"), lambda: r.execute_command("NOSUCH", "x")):
        try:
            call()
        except redis.ResponseError:
            continue
        raise AssertionError("no error")


@check
def server_commands():
    r = client(decode_responses=True, client_name="suite")
    assert r.client_getname() == "suite" and r.client_id() > 0
    assert any(c["name"] == "suite" for c in r.client_list())
    assert r.info("server")["redis_version"] == "8.2.3"
    assert "used_memory" in r.info() and r.config_get(PORT_PARAMETER)[PORT_PARAMETER] == str(PORT)
    assert r.config_set("timeout", 100) and r.config_get("timeout") == {"timeout": "100"} and r.config_set("timeout", 0)
    assert r.command_count() > 100 and r.execute_command("COMMAND INFO", "get")
    assert r.time()[0] > 1_600_000_000 and r.echo("x") == "x" and r.ping() is True
    assert r.object("encoding", "str") == "embstr" and r.memory_usage("str") > 0
    assert r.slowlog_reset() and r.slowlog_len() >= 0 and r.lolwut()
    assert client(decode_responses=True).execute_command("COMMAND GETKEYS", "MSET", "a", "1", "b", "2") == ["a", "b"]


def refused(call):
    try:
        call()
    except redis.exceptions.NoPermissionError as error:
        return str(error)
    raise AssertionError("not refused")


@check
def users():
    r = client(decode_responses=True)
    password = r.acl_genpass(128)
    assert len(password) == 32
    assert r.acl_setuser(
        "alice", enabled=True, passwords=[f"+{password}"], keys=["own:*", "%R~shared:*"], channels=["news:*"],
        commands=["+@all", "-@dangerous"], selectors=[("+flushdb", "~*")],
    )
    assert r.acl_setuser("alice", enabled=True, keys=["more:*"], commands=["+config|get"])
    shown = r.acl_getuser("alice")
    assert shown["enabled"] and set(shown["keys"]) >= {"~own:*", "~more:*"}, shown
    assert shown["categories"] == ["+@all", "-@dangerous"] and shown["commands"] == ["+config|get"], shown
    assert r.acl_setuser("alice", enabled=True, reset_keys=True, keys=["own:*"]) and r.acl_dryrun("alice", "get", "own:1") == "OK"
    assert "no permissions" in r.acl_dryrun("alice", "get", "other")
    a = client(username="alice", password=password, decode_responses=True)
    assert a.acl_whoami() == "alice" and a.set("own:1", "x") is True
    assert "access a key" in refused(lambda: a.get("other"))
    assert "'debug" in refused(lambda: a.execute_command("DEBUG", "SLEEP", 0))
    assert "channel" in refused(lambda: a.publish("other", "x")) and a.publish("news:1", "x") == 0
    with a.pipeline() as pipe:
        pipe.set("own:2", "y").get("other")
        refused(pipe.execute)
    try:
        client(username="alice", password="wrong").ping()
    except redis.exceptions.AuthenticationError:
        pass
    else:
        raise AssertionError("let in by a wrong password")
    log = r.acl_log()
    assert log[0]["reason"] == "auth" and log[0]["username"] == "alice" and log[0]["age-seconds"] < 60, log[0]
    assert {entry["reason"] for entry in log} >= {"auth", "key", "command", "channel"}
    assert r.acl_log_reset() and r.acl_log() == []
    assert "alice" in r.acl_users() and any(line.startswith("user alice on") for line in r.acl_list())
    assert "hash" in r.acl_cat() and "hget" in r.acl_cat("hash")
    assert r.acl_deluser("alice") == 1 and r.acl_getuser("alice") is None
    try:
        a.ping()
    except (redis.exceptions.ConnectionError, redis.exceptions.AuthenticationError):
        pass
    else:
        raise AssertionError("a user who is gone is served")


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
