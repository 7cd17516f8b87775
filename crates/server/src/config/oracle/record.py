#!/usr/bin/env python3
"""Asks a real Redis 8.2.3 how it treats its configuration and writes the answers beside this file.

    KINOVAR_ORACLE=/path/to/redis-server python3 record.py

The files are tab-separated; `\\t`, `\\n`, `\\r` and `\\\\` inside a field are escaped. Each opens with a line that says what its
columns are. Needs nothing but Python 3.
"""
import json, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, time

SERVER = os.environ["KINOVAR_ORACLE"]
HERE = pathlib.Path(__file__).parent
PORT = int(os.environ.get("KINOVAR_ORACLE_PORT", "8152"))


class Client:
    """The few bytes of RESP2 that these questions need."""

    def __init__(self, port):
        deadline = time.time() + 5
        while True:
            try:
                self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
                break
            except OSError:
                if time.time() > deadline:
                    raise
                time.sleep(0.01)
        self.file = self.sock.makefile("rb")

    def __call__(self, *args):
        args = [a if isinstance(a, bytes) else a.encode() for a in args]
        self.sock.sendall(b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args))
        return self.read()

    def read(self):
        line = self.file.readline()[:-2].decode("latin1")
        kind, rest = line[0], line[1:]
        if kind in "+-:":
            return line
        if kind == "$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2].decode("latin1")
        return [self.read() for _ in range(int(rest))]


def esc(s):
    return s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def write(name, columns, rows):
    with open(HERE / name, "w", encoding="utf-8") as f:
        f.write("# " + columns + "\n")
        for row in rows:
            f.write("\t".join(esc(c) for c in row) + "\n")
    print(name, len(rows))


class Server:
    """A throw-away server in its own directory."""

    def __init__(self, args=(), conf=None, port=PORT):
        self.dir = tempfile.mkdtemp(prefix="cfgoracle")
        argv = [SERVER]
        if conf is not None:
            pathlib.Path(self.dir, "r.conf").write_bytes(conf)
            argv.append(self.dir + "/r.conf")
        argv += list(args) + ["--port", str(port), "--logfile", "log"]
        self.process = subprocess.Popen(argv, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = Client(port)

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


def outcome(argv, conf=None, stdin=b"", files=()):
    """What a start says: `ok`, or the text on standard error and output after the fatal line."""
    with tempfile.TemporaryDirectory(prefix="cfgoracle") as d:
        for name, text in files:
            pathlib.Path(d, name).write_bytes(text)
        if conf is not None:
            pathlib.Path(d, "r.conf").write_bytes(conf)
        # Port 0 without a socket: a start that gets past its configuration ends by itself.
        p = subprocess.run([SERVER] + list(argv), cwd=d, input=stdin, capture_output=True, timeout=20)
        out = (p.stderr + p.stdout).decode("latin1").replace(d, "{dir}")
        out = re.sub(r"\d+:C \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} ", "", out)
        if "Configured to not listen anywhere" in out:
            return "ok"
        out = "\n".join(l for l in out.split("\n") if "overcommit" not in l and "oO0O" not in l and "Redis version=" not in l)
        return "%d:%s" % (p.returncode, out.strip("\n"))


BATTERY = ["kinobad", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "18446744073709551615",
           "18446744073709551616", "-100", "-1", "0", "1", "2", "1.5", "", "101%", "-2%", "50%", "1kb", "1KB", "2mb", "3g", "1k", "1b",
           "0010", "+5", " 7", "YES", "No", "a b", "a/b"]
HIDDEN = ["loading-process-events-interval-bytes", "use-exit-on-panic", "key-load-delay", "prefetch-batch-max-size", "lua-enable-deprecated-api",
          "cluster-ping-interval", "aof-disable-auto-gc", "rdb-key-save-delay", "watchdog-period", "repl-rdb-channel", "lazyexpire-nested-arbitrary-keys"]
# Values that the operating system, not the parser, would judge.
UNSAFE = {"maxclients": {"3g", "9223372036854775807"}, "maxmemory": set()}
SKIP = {"requirepass", "dir", "bind", "port", "activedefrag", "active-defrag-max-scan-fields", "locale-collate", "appendonly"}


def set_values():
    rows = []
    with Server(["--enable-protected-configs", "yes"]) as c:
        flat = c("CONFIG", "GET", "*")
        names = dict(zip(flat[::2], flat[1::2]))
        for name in HIDDEN:
            names[name] = c("CONFIG", "GET", name)[1]
        for name in sorted(names):
            if name in SKIP or name.startswith("tls"):
                continue
            groups = {}
            if c("CONFIG", "SET", name, "x.y") == "+OK":  # free text: a few values tell it all
                c("CONFIG", "SET", name, names[name])
                battery = ["kinobad", "", "50%", " 7", "+5", "a b", "a/b", "a_b", "A"]
            else:
                battery = BATTERY
            for value in battery:
                if value in UNSAFE.get(name, ()):
                    continue
                reply = c("CONFIG", "SET", name, value)
                key = reply
                if reply == "+OK":
                    key = "+OK " + c("CONFIG", "GET", name)[1]
                    back = c("CONFIG", "SET", name, names[name])
                    assert back == "+OK", (name, names[name], back)
                groups.setdefault(key.replace("(possibly related to argument '%s')" % name, "@"), []).append(value)
            if list(groups) == ["-ERR CONFIG SET failed @ - can't set immutable config"]:
                groups = {k: ["1"] for k in groups}
            for reply, values in groups.items():
                rows.append([name, reply] + values)
    write("set_values.tsv", "name, reply ('@' stands for the usual blame; '+OK x': CONFIG GET then says x), the values that got it; each restored after", rows)
    return names


def defaults():
    with Server([]) as c:
        flat = c("CONFIG", "GET", "*")
    rows = [[n, v] for n, v in sorted(zip(flat[::2], flat[1::2])) if n not in ("dir", "port", "logfile")]
    write("defaults.tsv", "name, value of CONFIG GET of a server started without a file", rows)


SET_CASES = [line.split(" | ") for line in """
maxmemory | abc
port | 99999
save | a b
nosuch | 1
nosuch | 1 | maxmemory | 1
maxmemory | 100 | nosuch | 1
maxmemory | 100 | maxmemory | 200
maxmemory | 100 | MAXMEMORY | 200
hash-max-listpack-entries | 5 | hash-max-ziplist-entries | 6
daemonize | yes
DAEMONIZE | yes
dir | /tmp
dbfilename | x.rdb
maxmemory | 100mb | maxmemory-samples | 0
maxmemory-samples | 7 | maxmemory | 100mb | hz | abc
maxmemory-samples | 7 | maxmemory | 100mb | daemonize | no
maxmemory
maxmemory | 1 | hz
MaxMemory | 5mb
save | 
save | 3600 1
save | 3600 1 300 100
save | 3600  1   300 100
save | 3600 1 300
save | 3600 0
save | 0 1
save | 3600 -1
save | 3600 1 3600 1
save | 10 99999999999
save | 60.5 1
save | "60" 1
save | '60 1'
notify-keyspace-events | KEA
notify-keyspace-events | AKE
notify-keyspace-events | Kg$lszxetd
notify-keyspace-events | g$lszxetd
notify-keyspace-events | Elgm
notify-keyspace-events | mnKE
notify-keyspace-events | Anm
notify-keyspace-events | KA$
notify-keyspace-events | h
notify-keyspace-events | q
notify-keyspace-events | KEh
notify-keyspace-events | nKE$glshzxetdm
notify-keyspace-events | A
notify-keyspace-events | K E
client-output-buffer-limit | normal 1mb 2mb 60
client-output-buffer-limit | slave 1mb 512kb 30
client-output-buffer-limit | replica 2mb 0 0
client-output-buffer-limit | pubsub 1 2 3 normal 4 5 6
client-output-buffer-limit | pubsub 1 2
client-output-buffer-limit | other 1 2 3
client-output-buffer-limit | master 1 2 3
client-output-buffer-limit | pubsub 1 2 -3
client-output-buffer-limit | pubsub x 2 3
client-output-buffer-limit | pubsub 1 2 3 | maxmemory | x
client-output-buffer-limit | PUBSUB 7kb 7 7
client-output-buffer-limit | normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60
shutdown-on-sigterm | save force
shutdown-on-sigterm | force  save
shutdown-on-sigterm | now NOSAVE
shutdown-on-sigterm | save nosave
shutdown-on-sigterm | default save
shutdown-on-sigterm | save save
shutdown-on-sigterm | now force nosave
shutdown-on-sigterm | bogus save
shutdown-on-sigterm | default
loglevel | NOTICE
loglevel | debug verbose
maxmemory-policy | allkeys-lru noeviction
oom-score-adj-values | 0 200 800
oom-score-adj-values | 0 100
oom-score-adj-values | 0 100 3000
oom-score-adj-values | 800 200 100
oom-score-adj-values | a b c
oom-score-adj-values | 0 200 800 900
latency-tracking-info-percentiles | 50 99.9 100
latency-tracking-info-percentiles | 50 50
latency-tracking-info-percentiles | 99 50 0
latency-tracking-info-percentiles | 100.1
latency-tracking-info-percentiles | 99.99999
latency-tracking-info-percentiles | 5e1
latency-tracking-info-percentiles | nan
latency-tracking-info-percentiles | .5
latency-tracking-info-percentiles | 0.123456789
latency-tracking-info-percentiles | 
latency-tracking-info-percentiles | 50 99 99.9
hz | 0
hz | 501
hz | 10
bind | 127.0.0.1
bind | 127.0.0.1 ::1
bind | 127.0.0.1  -::1
bind | a b c d e f g h i j k l m n o p q
proc-title-template | {title} {nope}
proc-title-template | {title
proc-title-template | {title} x
proc-title-template | {title} {listen-addr} {server-mode} {port} {tls-port} {config-file} {unixsocket}
appendfsync | ALWAYS
list-max-listpack-size | -5
list-max-ziplist-size | 7
replica-priority | 5
slave-priority | 6
lua-time-limit | 77
maxclients | 0
maxclients | 20
replica-announced | no
unixsocketperm | 700
requirepass | a b
requirepass | 
masterauth | 
cluster-announce-hostname | abc_def
cluster-announce-hostname | abc.def-1
maxmemory | 1Gb
maxmemory | 1GB
maxmemory | 1 gb
maxmemory | 99999999999gb
maxmemory | 20000000000gb
maxmemory | 0
maxmemory | 10%
maxmemory-clients | 10%
maxmemory-clients | 100%
maxmemory-clients | -5
maxmemory-clients | %
maxmemory-clients | 5 %
maxmemory-clients | 1.5%
proto-max-bulk-len | 100
dbfilename | a/b
repl-ping-replica-period | 0
io-threads | 4
rename-command | a b
include | x
loadmodule | x
user | default on
list-max-ziplist-entries | 5
lua-replicate-commands | yes
slaveof | no one
loading-process-events-interval-bytes | 3000
watchdog-period | 1
lua-enable-deprecated-api | yes
timeout | 1 | timeout | 2
timeout | 0 | tcp-keepalive | 0 | timeout | 2
""".strip("\n").split("\n")]


def set_cases():
    rows = []
    with Server([]) as c:
        for args in SET_CASES:
            reply = c("CONFIG", "SET", *args)
            after = "" if not isinstance(reply, str) else "|".join(
                (c("CONFIG", "GET", n) or ["", "-"])[1] for n in args[::2] if "?" not in n)
            rows.append([reply, after] + args)
    write("set_cases.tsv", "reply, CONFIG GET of each name afterwards joined by '|', arguments of CONFIG SET; one server, in order, starting without a file", rows)


GET_CASES = ["maxmemory", "MAXMEMORY", "maxmemory*", "*ziplist*", "hash-max-ziplist-entries", "hash-max-ziplist-entries hash-max-listpack-entries",
             "maxmemory maxmemory*", "maxmemory maxmemory", "nosuch", "*nosuch*", "slave*", "replica-prio*", "h[z]", "h?", "h\\z", "hz nosuch timeout",
             "lua*", "loading*", "loading-process-events-interval-bytes", "watchdog-period", "*cpulist", "bio?cpulist", "rename-command", "user",
             "include", "loadmodule", "slaveof", "replicaof", "list-max-ziplist-entries", "save", "client-output-buffer-limit", "bind", "unixsocketperm",
             "*tls-port", "Hz TIMEOUT", "[^a-y]*", "lua-enable-deprecated-api", "repl-rdb-channel", "key-load-delay"]


def get_cases():
    rows = []
    with Server(["--unixsocketperm", "700", "--unixsocket", "s"]) as c:
        for case in GET_CASES:
            flat = c("CONFIG", "GET", *case.split(" "))
            rows.append([case] + ["%s=%s" % p for p in sorted(zip(flat[::2], flat[1::2]))])
    write("get_cases.tsv", "patterns separated by a blank, then name=value sorted; started with --unixsocketperm 700 --unixsocket s", rows)


FILES = [("inc.conf", b"maxmemory 5mb\n"), ("inc2.conf", b"\n\nbogus 1\n"), ("a1.inc", b"hz 20\n"), ("a2.inc", b"timeout 7\n")]
FILE_CASES = [
    "", "\n\n# c\n   \t# d\n", "bogus", "bogus 1", "maxmemory", "maxmemory 1 2", "maxmemory abc", "hz abc\n", "# one\n\nport 99999\n",
    "save", "save 1", "save 1 2 3", 'save ""', "save '' ", "save 900 1 300 10", "save 900 1\nsave 300 10", "save a b", "SAVE 10 1\nMaxMemory 1GB",
    'dir "/nonexistent/x"', "dir", "dir /tmp /tmp", 'logfile "a b"', 'logfile "a', "logfile 'a'b", "logfile 'a", 'logfile "a\\x41\\n\\q" ', "maxmemory 1 # no comment",
    "\tmaxmemory\t1", "maxmemory 1\r\nhz 5\r\n", "bind 127.0.0.1 ::1", "bind", 'bind ""', "bind a b c d e f g h i j k l m n o p q",
    "bind " + " ".join("127.0.0.%d" % i for i in range(17)),
    "include inc.conf", "include nosuch.conf", "include inc2.conf", "include *.inc", "include zz*.inc", "include", "include inc.conf inc2.conf",
    "hz 30\ninclude a1.inc\n", "rename-command CONFIG x", "rename-command CONFIG ''", 'rename-command config ""', "rename-command nosuch x", "rename-command get set", "rename-command a",
    "rename-command get g1\nrename-command get g2", "user default on nopass", "user alice on >pw ~* +@all", "user default bogus", "user", "user a\nuser a", "user alice +nosuch",
    "loadmodule /nosuch.so", "loadmodule", "sentinel monitor a 1 2 3", "list-max-ziplist-entries 1", "list-max-ziplist-value 1",
    "lua-replicate-commands yes", "io-threads-do-reads yes", "list-max-ziplist-entries", "list-max-ziplist-entries 1 2",
    "client-output-buffer-limit pubsub 1 2 3", "client-output-buffer-limit pubsub 1 2", "client-output-buffer-limit bogus 1 2 3",
    "client-output-buffer-limit normal 1 2 3 pubsub 4 5 6", "client-output-buffer-limit pubsub 1mb 2x 3", "client-output-buffer-limit",
    "notify-keyspace-events KEA", "notify-keyspace-events q", "notify-keyspace-events K E", 'notify-keyspace-events ""', "notify-keyspace-events",
    "shutdown-on-sigterm save force", "shutdown-on-sigterm save bogus", "shutdown-on-sigterm", "loglevel debug", "loglevel bogus", "loglevel debug notice",
    "oom-score-adj-values 0 200 800", "oom-score-adj-values 0 200", "latency-tracking-info-percentiles 50 99", "latency-tracking-info-percentiles", "latency-tracking-info-percentiles x",
    'latency-tracking-info-percentiles ""', "replicaof no one", "replicaof 127.0.0.1 70000", "replicaof 127.0.0.1", "slaveof 127.0.0.1 1234", "replicaof 127.0.0.1 0", "replicaof h x",
    "port 0\nport 99999", "unixsocketperm 999", "unixsocketperm 777", "io-threads 129", "io-threads 0", "databases 0", "tcp-backlog -1",
    "hash-max-ziplist-entries 5\nhash-max-listpack-value 5", "slave-priority 3", "appendonly maybe", "daemonize 1", "supervised bogus",
    'requirepass "a b"', "requirepass a b", "requirepass", 'requirepass ""', "proc-title-template {bad}", "locale-collate xx_YY", "locale-collate C", "appendfilename a/b", "dbfilename a/b",
    "maxmemory-clients 5%", "maxmemory-clients 500%", "hz 0", "hz 1000", "syslog-facility mail", "syslog-facility LOCAL3", "enable-debug-command local", "enable-debug-command maybe",
    "vset-force-single-threaded-execution yes", "loading-process-events-interval-bytes 5", "watchdog-period 5", "unknown-thing", '"quoted name" 1', '"hz" 20', '"" 1', "''", "hz '20'", "hz 20\nhz 30", 'hz "20', 'hz 20"',
    "maxclients 0", "cluster-enabled yes\nreplicaof 127.0.0.1 1", "aof-use-rdb-preamble yes no", "bio-cpulist 0-3", "bio_cpulist 0-3", "tls-port 1x", "proto-max-bulk-len 1kb", "tcp-keepalive -1",
    "save 10 1\nsave \"\"\nsave 20 2", "jemalloc-bg-thread no", "activedefrag no", "set-proc-title maybe", "oom-score-adj bogus", "oom-score-adj relative",
    "user default on >pw", "user default +@all ~*", "user default off", "aclfile x\nuser a on", "masteruser a b", "logfile /nonexistent/x/y", "ignore-warnings ARM64-COW-BUG",
]


def file_cases():
    rows = []
    for case in FILE_CASES:
        text = case.encode()
        rows.append([case, outcome(["r.conf", "--port", "0", "--logfile", ""] if "port" not in case and "logfile" not in case else ["r.conf"] + ([] if case.startswith("port") else ["--port", "0"]), text + b"\n" if not text.endswith(b"\n") else text, files=FILES)])
    write("file_cases.tsv", "text of the file, outcome ('ok' or exit code:messages); beside it inc.conf=maxmemory 5mb, inc2.conf=two empty lines and bogus 1, a1.inc=hz 20, a2.inc=timeout 7", rows)


ARG_CASES = [
    "--hz 20", "--hz", "--hz abc", "--port", "--bogus 1", "--bogus", "--save", "--save ''", "--save 900 1", "--save 900 1 300 10", "--save '900 1'", "--save 900 1 --save 300 10",
    "--save a b", "--bind 127.0.0.1 ::1 --hz 5", "--bind '127.0.0.1 ::1'", "--hz 20 30", "--maxmemory 10mb --maxmemory-policy allkeys-lru", "--maxmemory '10mb --hz 5'", "-hz 20", "hz 20", "--hz=20",
    "--HZ 20", "--loglevel verbose", "--shutdown-on-sigterm save force", "--shutdown-on-sigterm 'save force'", "--shutdown-on-sigterm nosave now --hz 5",
    "--client-output-buffer-limit pubsub 1 2 3", "--client-output-buffer-limit 'pubsub 1 2 3'", "--client-output-buffer-limit pubsub 1 2", "--requirepass 'a b'", "--requirepass --hz", "--requirepass '--hz' --timeout 5",
    "--requirepass ''", "--masterauth a --requirepass b", "--proc-title-template --my--title--template", "--proc-title-template '{title} x'",
    "nosuch.conf", "nosuch.conf --hz 5", "r.conf", "r.conf --hz 5", "r.conf extra", "r.conf r.conf", "--hz 5 r.conf", "r.conf --hz 50 -", "-", "- --hz 5", "--hz 5 -", "- -", "r.conf -", "--hz 5 - --timeout 3",
    "--version", "-v", "--help", "-h", "--test-memory", "--test-memory 1 2", "--version --hz 5", "--hz 5 --version", "--help --version", "--hz 5 --help", "r.conf --version",
    "--include inc.conf", "--rename-command get g", "--user alice on", "--loadmodule /nosuch.so", "--replicaof 127.0.0.1 1", "--replicaof '127.0.0.1 1'", "--replicaof no one", "--slaveof no", "--oom-score-adj-values 0 200 800",
    "--hz '20 '", "--hz ''", "--dir nosuch", "--dir .", "--databases 0", "--io-threads 200", "--notify-keyspace-events KEA", "--notify-keyspace-events ''", "--save '' --appendonly no", "--appendonly", "--latency-tracking-info-percentiles 50 99.9",
    "--logfile '' --hz 7", "--unixsocketperm 9", "--sentinel-thing 5", "--port 0 --bogus 1", "--hz 5 extra --timeout 3", "--requirepass 'a\"b'", "--requirepass 'a\\\\b'", "---hz 5", "-- 5", "--", "--save --hz 5", "--save '' 900 1", "--save 900 '1 300' 10", "--hz 5 6 --timeout 3", "--loglevel verbose --logfile ''",
]


def arg_cases():
    import shlex
    rows = []
    for case in ARG_CASES:
        args = shlex.split(case)
        tail = [] if any(a in ("--version", "-v", "--help", "-h", "--test-memory") for a in args) or "--port" in args else ["--port", "0"]
        # `--port 0` goes where it does not change what the case asks.
        if tail and args and args[0].startswith("--") and args[0] not in ("--", "---hz"):
            argv = tail + args
        elif tail and args and args[0] == "r.conf":
            argv = args[:1] + tail + args[1:]
        else:
            argv = args + tail
        out = outcome(argv, b"timeout 9\n", stdin=b"tcp-keepalive 11\n", files=FILES)
        rows.append(["\x1f".join(argv).replace("\x1f", "|"), out])
    write("arg_cases.tsv", "arguments joined by '|', outcome ('ok' or exit code:messages); r.conf beside it says timeout 9, standard input says tcp-keepalive 11", rows)


VALUE_CASES = [
    "hz 0", "hz 1000", "repl-backlog-size 1", "save 900 1\nsave 300 10", 'save 900 1\nsave ""', 'save 10 1\nsave ""\nsave 20 2', "save", "save '900 1 300 10'", 'save ""', "bind 127.0.0.1\nbind ::1", 'bind ""', "bind '127.0.0.1 ::1'",
    "hz 30\ninclude a1.inc", "include a1.inc\nhz 30", "include *.inc", "bio_cpulist 0-3", "replicaof 127.0.0.1 1", "slaveof no one", "replicaof '127.0.0.1 1'", "client-output-buffer-limit slave 1mb 2 3", "client-output-buffer-limit pubsub 1 2 3\nclient-output-buffer-limit normal 4 5 6",
    "requirepass \"a\\x41\\n\\q\\t\\\\z\"", "requirepass 'a\\'b\\n'", "requirepass a\\nb", "masterauth \"\"", "notify-keyspace-events mKEg$", "shutdown-on-sigterm force now", "shutdown-on-sigint 'save force'", "oom-score-adj-values 1 2 3", "maxmemory-clients 7%",
    "latency-tracking-info-percentiles", "latency-tracking-info-percentiles 1 2.50", "unixsocketperm 0755", "appendfsync ALWAYS\nLOGLEVEL Verbose", "maxmemory 1gb\nmaxmemory 2gb", "user default on >pw", "user default off", "user default on nopass", "requirepass pw\nuser default on nopass", "user default on >pw\nrequirepass qq",
    "tls-port 0\ntls-auth-clients OPTIONAL\ntls-protocols \"TLSv1.2 TLSv1.3\"", "watchdog-period 5", "locale-collate C", "cluster-announce-hostname abc.d", "slave-announce-ip x", "proto-max-bulk-len 2mb", "enable-debug-command local", "dbfilename ''", "databases 99", "syslog-facility LOCAL3",
]
VALUE_NAMES = ["hz", "repl-backlog-size", "save", "bind", "timeout", "bio-cpulist", "bio_cpulist", "replicaof", "client-output-buffer-limit", "masterauth", "notify-keyspace-events", "shutdown-on-sigterm", "shutdown-on-sigint", "oom-score-adj-values",
               "maxmemory-clients", "maxmemory", "latency-tracking-info-percentiles", "unixsocketperm", "appendfsync", "loglevel", "requirepass", "tls-auth-clients", "tls-protocols", "watchdog-period", "locale-collate", "cluster-announce-hostname", "replica-announce-ip",
               "proto-max-bulk-len", "enable-debug-command", "dbfilename", "databases", "syslog-facility"]


def values_of(argv, text):
    """What CONFIG GET says, of the values that differ from a start without anything; asked over the Unix socket."""
    with tempfile.TemporaryDirectory(prefix="cfgoracle") as d:
        for name, inc in FILES + [("r.conf", text)]:
            pathlib.Path(d, name).write_bytes(inc)
        p = subprocess.Popen([SERVER] + argv + ["--unixsocket", "s"], cwd=d, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + 5
        while not os.path.exists(d + "/s") and time.time() < deadline and p.poll() is None:
            time.sleep(0.005)
        if p.poll() is not None or not os.path.exists(d + "/s"):
            p.kill()
            return None
        c = Client.__new__(Client)
        c.sock = socket.socket(socket.AF_UNIX)
        for _ in range(100):
            try:
                c.sock.connect(d + "/s")
                break
            except OSError:
                time.sleep(0.01)
        c.file = c.sock.makefile("rb")
        for guess in ("pw", "qq", "aA\nq\t\\z", "a'b\\n", "a\\nb", "a b", "--hz", "a\"b", "a\\b", "b"):
            if c("PING") == "+PONG":
                break
            c("AUTH", guess)
        out = {}
        if c("PING") == "+PONG":
            for n in VALUE_NAMES:
                out[n] = c("CONFIG", "GET", n)[1]
        p.kill()
        p.wait()
        return out


def file_values():
    base = values_of(["r.conf", "--port", "0"], b"")
    rows = []
    for case in VALUE_CASES:
        got = values_of(["r.conf", "--port", "0"], case.encode() + b"\n")
        rows.append([case] + (["did not start"] if got is None else ["%s=%s" % (n, v) for n, v in got.items() if v != base[n]] or ["as before" if got else "no access"]))
    write("file_values.tsv", "text of the file, then name=value of what differs from a start without it; includes as in file_cases.tsv", rows)


ARG_VALUE_CASES = [
    "--save 900 1", "--save 900 1 300 10", "--save '900 1'", "--save 900 1 --save 300 10", "--save ''", "--save", "--hz 20 --hz 30", "--shutdown-on-sigterm save force", "--shutdown-on-sigterm 'save force'", "--shutdown-on-sigterm nosave now --hz 5",
    "--client-output-buffer-limit pubsub 1 2 3", "--client-output-buffer-limit 'pubsub 1 2 3'", "--client-output-buffer-limit slave 1 2 3 --client-output-buffer-limit pubsub 1 2 3", "--requirepass 'a b'", "--requirepass --hz", "--requirepass '--hz' --timeout 5", "--masterauth --x",
    "--masterauth a --requirepass b", "--requirepass 'a\"b'", "--requirepass 'a\\b'", "--bind 127.0.0.1 ::1 --hz 5", "--oom-score-adj-values 0 200 100", "--notify-keyspace-events KEA", "--notify-keyspace-events '' --hz 7", "--save '' --hz 5", "--latency-tracking-info-percentiles 50 99.5", "--replicaof 127.0.0.1 1",
    "--replicaof '127.0.0.1 1'", "--maxmemory '10mb' --maxmemory-policy allkeys-lru", "--hz '20 '", "--timeout 3 --save '' --dbfilename x", "--save --hz 5", "--save '' 900 1", "--save 900 '1 300' 10", "-- 5", "--proc-title-template --my--title",
]


def arg_values():
    import shlex
    base = values_of(["r.conf", "--port", "0"], b"")
    rows = []
    for case in ARG_VALUE_CASES:
        args = shlex.split(case)
        got = values_of(["--port", "0"] + args, b"")
        rows.append(["|".join(args)] + (["did not start"] if got is None else ["%s=%s" % (n, v) for n, v in got.items() if v != base[n]] or ["as before" if got else "no access"]))
    write("arg_values.tsv", "arguments joined by '|', then name=value of what differs from a start without them", rows)


REWRITE_CASES = [
    ("", []), ("# mine\nhz 20\n\n# other\ntimeout 5\n", [("hz", "30")]), ("# mine\nhz 20\n", [("hz", "10")]), ("hz 20\nhz 30\n", [("timeout", "3")]),
    ("maxmemory 100mb\n", [("maxmemory", "1025")]), ("", [("maxmemory", "2gb"), ("maxmemory-policy", "allkeys-lru"), ("maxmemory-clients", "5%")]),
    ("save 900 1\nsave 300 10\n# end\n", []), ("save 900 1\nsave 300 10\n# end\n", [("save", "60 5")]), ("save 900 1\n", [("save", "")]), ("", [("save", "")]), ("", [("save", "3600 1 300 100 60 10000")]),
    ("client-output-buffer-limit normal 1 2 3\n", []), ("client-output-buffer-limit slave 1mb 2mb 3\n", [("client-output-buffer-limit", "pubsub 1 2 3")]),
    ("bind 127.0.0.1\n", []), ("bind 127.0.0.1 -::1\ninclude inc.conf\n", []), ("slave-priority 7\n", []), ("slave-priority 7\n", [("replica-priority", "8")]), ("replica-priority 100\n", []),
    ("hash-max-ziplist-entries 77\nhash-max-ziplist-value 1kb\n", []), ("requirepass foo\n", []), ('requirepass "a b"\n', []), ("", [("requirepass", 'q"\x01\n z')]),
    ("rename-command get g1\nhz 12\n", [("hz", "13")]), ("bogus_comment # x\n" if False else "   hz    20   \n", []), ("# hz 20\n#hz 5\n", [("hz", "20")]), ("loglevel verbose\n# a\n\n\n# b\nloglevel debug\n", [("loglevel", "notice")]),
    ("notify-keyspace-events KEA\n", []), ("shutdown-on-sigterm save force\n", []), ("oom-score-adj-values 0 200 800\n", []), ("latency-tracking-info-percentiles 50 99\n", []), ("user default on nopass ~* &* +@all\n", []),
    ("proto-max-bulk-len 512mb\nrepl-backlog-size 10mb\nauto-aof-rewrite-min-size 1025\n", []), ("unixsocketperm 700\nappendonly no\n", []), ("# Generated by CONFIG REWRITE\nhz 20\n", [("timeout", "5")]),
    ("hz 20", [("timeout", "4")]), ("hz 20\r\n# c\r\n", [("hz", "21")]), ("TIMEOUT 5\nMaxMemory 1GB\n", []), ("tcp-keepalive 300\n", [("tcp-keepalive", "5")]), ("list-max-ziplist-entries 5\nlua-replicate-commands yes\nhz 10\n", []),
    ("maxmemory-clients 5%\nlogfile \"\"\nlocale-collate C\n", []), ("dbfilename dump.rdb\n# x\n\nappendfilename \"appendonly.aof\"\n", [("timeout", "1")]),
]


def rewrite_cases():
    rows = []
    for before, sets in REWRITE_CASES:
        conf = before.encode()
        with tempfile.TemporaryDirectory(prefix="cfgoracle") as d:
            path = pathlib.Path(d, "r.conf")
            path.write_bytes(conf)
            pathlib.Path(d, "inc.conf").write_bytes(b"# nothing\n")
            proc = subprocess.Popen([SERVER, path, "--port", str(PORT), "--pidfile", ""], cwd=d, stdout=subprocess.DEVNULL)
            c = Client(PORT)
            get = c("CONFIG", "GET", "requirepass")
            for word in ("foo", "a b"):
                if get == "-NOAUTH Authentication required.":
                    if c("AUTH", word) == "+OK":
                        break
            for n, v in sets:
                reply = c("CONFIG", "SET", n, v)
                assert reply == "+OK", (n, v, reply)
                if n == "requirepass":
                    c("AUTH", v)
            reply = c("CONFIG", "REWRITE")
            assert reply == "+OK", reply
            after = path.read_bytes().decode("latin1").replace(d, "{dir}")
            proc.terminate()
            proc.wait()
        rows.append([before, "|".join("%s=%s" % p for p in sets), after])
    write("rewrite_cases.tsv", "file before, name=value set joined by '|', file after CONFIG REWRITE ({dir}: the directory); started as redis-server r.conf --port %d --pidfile ''" % PORT, rows)


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["defaults", "set_values", "set_cases", "get_cases", "file_cases", "arg_cases", "file_values", "arg_values", "rewrite_cases"]
    for w in wanted:
        globals()[w]()
