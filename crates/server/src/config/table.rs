//! Every parameter, declared once.
//!
//! From this table come the parsing of files and of the command line, CONFIG GET, SET and REWRITE, and the help text. Names,
//! defaults, ranges and mutability are those of Redis 8.2.3 unless a line says otherwise; the tests compare them with what that
//! server answered. Our own parameters stand at the end.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::check;
use super::kind::{Form, IntSpec, Kind, shutdown};
use super::param::*;

const INT_MAX: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
const UINT_MAX: i64 = u32::MAX as i64;
const MIB: i64 = 1 << 20;

const NO_FORK: &str = "snapshots are taken without a fork";
const NO_SAMPLING: &str = "expired keys are found by an exact index, not by sampling";
const PINNED_OTHERWISE: &str = "threads are placed by the operating system";
const NO_DEFRAG: &str = "there is no moving of live values";
const NO_MODULES: &str = "there are no modules";
const NO_FINITE_FIELDS: &str = "keys are exchanged over elliptic curves only";
const TEST_AID: &str = "an aid of the reference's own tests";

/// All parameters; the position of one is its index everywhere else.
pub const PARAMS: &[Param] = &[
    // Listening and connections.
    special("bind", Kind::Bind, "addresses to listen on; a leading '-' tolerates an address that is not there"),
    int("port", 6379, 0, 65535, "TCP port; 0 listens on none"),
    text("unixsocket", "", "path of a Unix socket to listen on").immutable(),
    octal("unixsocketperm", 0o777, "permissions of the Unix socket, octal").immutable(),
    int("tcp-backlog", 511, 0, INT_MAX, "length of the queue of connections not yet accepted").immutable(),
    int("tcp-keepalive", 300, 0, INT_MAX, "seconds of silence before TCP asks whether the peer is alive; 0 never asks"),
    int("timeout", 0, 0, INT_MAX, "seconds after which an idle client is closed; 0 never closes"),
    uint("maxclients", 10_000, 1, UINT_MAX, "most clients connected at once"),
    uint("max-new-connections-per-cycle", 10, 1, 1000, "most connections accepted in one turn of an event loop"),
    uint("max-new-tls-connections-per-cycle", 1, 1, 1000, "most TLS handshakes worked on in one turn"),
    uint("socket-mark-id", 0, 0, UINT_MAX, "mark set on listening sockets")
        .immutable()
        .inert("setting it needs a privilege"),
    text("bind-source-addr", "", "local address of outgoing connections").later(),
    boolean("protected-mode", true, "without a password, serve local clients only"),
    bytes("client-query-buffer-limit", 1 << 30, MIB, "bytes of an unfinished request after which a client is closed"),
    special("client-output-buffer-limit", Kind::OutputLimits, "reply bytes that may wait for a client, per class"),
    share("maxmemory-clients", "memory that all clients together may take, bytes or a percentage of maxmemory"),
    signed_bytes("proto-max-bulk-len", 512 * MIB, MIB, "longest string of a request, bytes"),
    // The process.
    boolean("daemonize", false, "run in the background").immutable(),
    names("supervised", 0, SUPERVISED, "tell a supervisor when the server is ready").immutable(),
    text("pidfile", "", "file that holds the process id").immutable(),
    names("loglevel", 2, LOG_LEVELS, "least important level that is logged"),
    text_or_empty("logfile", "", "file to log to; empty logs to standard output").immutable(),
    boolean("syslog-enabled", false, "log to the system log as well").immutable(),
    text("syslog-ident", "redis", "name in the system log").immutable(),
    names("syslog-facility", 16 << 3, SYSLOG_FACILITIES, "facility of the system log").immutable(),
    boolean("hide-user-data-from-log", false, "keep what clients sent out of the log"),
    boolean("always-show-logo", false, "show the logo even when not on a terminal").immutable(),
    boolean("set-proc-title", true, "change the title of the process").immutable(),
    checked(
        "proc-title-template",
        "{title} {listen-addr} {server-mode}",
        check::title_template,
        "title of the process",
    ),
    checked("locale-collate", "", check::locale, "locale that SORT ALPHA compares by; only the C locale is known"),
    special("dir", Kind::Dir, "working directory; data files lie there").protected(),
    boolean("crash-log-enabled", true, "log a report when the server crashes").inert("a panic logs its own report"),
    boolean("crash-memcheck-enabled", true, "check memory after a crash").inert("a panic does not test the memory"),
    boolean("use-exit-on-panic", false, "exit instead of abort on a broken invariant").hidden().inert(TEST_AID),
    boolean("disable-thp", true, "turn transparent huge pages off").immutable().inert(NO_FORK),
    names("oom-score-adj", 0, OOM_SCORE, "adjust what the kernel's out-of-memory killer prefers"),
    special("oom-score-adj-values", Kind::OomScores, "adjustments for a primary, a replica and a background child"),
    int("watchdog-period", 0, 0, INT_MAX, "log stalls longer than this, ms")
        .hidden()
        .settles(|ms| if ms == 0 { 0 } else { ms.max(200) })
        .inert(TEST_AID),
    names("shutdown-on-sigint", 0, &[], "what SIGINT does").shutdown_flags(),
    names("shutdown-on-sigterm", 0, &[], "what SIGTERM does").shutdown_flags(),
    int("shutdown-timeout", 10, 0, INT_MAX, "seconds that a shutdown waits for replicas"),
    text_or_empty("ignore-warnings", "", "start-up warnings to leave out"),
    text("server-cpulist", "", "cores for the server's threads")
        .alias("server_cpulist")
        .immutable()
        .inert(PINNED_OTHERWISE),
    text("bio-cpulist", "", "cores for background threads").alias("bio_cpulist").immutable().inert(PINNED_OTHERWISE),
    text("aof-rewrite-cpulist", "", "cores for rewriting").alias("aof_rewrite_cpulist").immutable().inert(NO_FORK),
    text("bgsave-cpulist", "", "cores for saving").alias("bgsave_cpulist").immutable().inert(NO_FORK),
    boolean("jemalloc-bg-thread", true, "return freed memory from a background thread"),
    // Access.
    text("requirepass", "", "password of the default user"),
    text_or_empty("aclfile", "", "file of users").immutable(),
    names("acl-pubsub-default", 0, ACL_PUBSUB, "channels of a new user"),
    int("acllog-max-len", 128, 0, i64::MAX, "refusals that ACL LOG keeps"),
    names("enable-protected-configs", 0, WHO, "who may change protected parameters").immutable(),
    names("enable-debug-command", 0, WHO, "who may use DEBUG").immutable(),
    names("enable-module-command", 0, WHO, "who may use MODULE").immutable().inert(NO_MODULES),
    // Data.
    int("databases", 16, 1, INT_MAX, "number of databases").immutable(),
    bytes("maxmemory", 0, 0, "bytes that data may take; 0 is no limit"),
    names("maxmemory-policy", 7, EVICTION, "which keys give way when memory is full"),
    int("maxmemory-samples", 5, 1, 64, "keys compared when one must give way"),
    int("maxmemory-eviction-tenacity", 10, 0, 100, "how long one eviction may take"),
    int("lfu-log-factor", 10, 0, INT_MAX, "how many uses one step of the frequency counter stands for"),
    int("lfu-decay-time", 1, 0, INT_MAX, "minutes after which the frequency counter loses a step"),
    int("active-expire-effort", 1, 1, 10, "share of time for dropping expired keys").inert(NO_SAMPLING),
    int("hz", 10, 0, INT_MAX, "housekeeping rounds a second").settles(|hz| hz.clamp(1, 500)),
    boolean("dynamic-hz", true, "more housekeeping with more clients").inert("housekeeping follows the work there is"),
    boolean("activerehashing", true, "finish the resizing of tables in idle time"),
    boolean("lazyfree-lazy-eviction", false, "free evicted values in the background"),
    boolean("lazyfree-lazy-expire", false, "free expired values in the background"),
    boolean("lazyfree-lazy-server-del", false, "free overwritten values in the background"),
    boolean("lazyfree-lazy-user-del", false, "DEL frees in the background, as UNLINK does"),
    boolean("lazyfree-lazy-user-flush", false, "FLUSHALL and FLUSHDB free in the background by default"),
    boolean("lazyexpire-nested-arbitrary-keys", true, "expire keys that scripts reach undeclared")
        .hidden()
        .inert(TEST_AID),
    uint("hash-max-listpack-entries", 512, 0, i64::MAX, "fields of the largest compact hash")
        .alias("hash-max-ziplist-entries"),
    bytes("hash-max-listpack-value", 64, 0, "longest field or value of a compact hash").alias("hash-max-ziplist-value"),
    int("list-max-listpack-size", -2, INT_MIN, INT_MAX, "elements of a list node, or -1 to -5 for 4 to 64 KB")
        .alias("list-max-ziplist-size"),
    int("list-compress-depth", 0, 0, INT_MAX, "nodes at each end of a list that stay uncompressed; 0 compresses none")
        .later(),
    uint("set-max-intset-entries", 512, 0, i64::MAX, "members of the largest set of integers kept as such"),
    uint("set-max-listpack-entries", 128, 0, i64::MAX, "members of the largest compact set"),
    uint("set-max-listpack-value", 64, 0, i64::MAX, "longest member of a compact set"),
    uint("zset-max-listpack-entries", 128, 0, i64::MAX, "members of the largest compact sorted set")
        .alias("zset-max-ziplist-entries"),
    bytes("zset-max-listpack-value", 64, 0, "longest member of a compact sorted set").alias("zset-max-ziplist-value"),
    bytes("hll-sparse-max-bytes", 3000, 0, "bytes of the largest sparse HyperLogLog"),
    bytes("stream-node-max-bytes", 4096, 0, "bytes of a stream node"),
    int("stream-node-max-entries", 100, 0, i64::MAX, "entries of a stream node"),
    boolean("vset-force-single-threaded-execution", false, "run vector searches on one thread").later(),
    boolean("activedefrag", false, "give pages that hold nothing back at once"),
    int("active-defrag-cycle-min", 1, 1, 99, "least share of a thread's time for that, percent"),
    int("active-defrag-cycle-max", 25, 1, 99, "largest share of a thread's time for that, percent"),
    int("active-defrag-threshold-lower", 10, 0, 1000, "unused pages that start it, percent of what is used"),
    int("active-defrag-threshold-upper", 100, 0, 1000, "unused pages that are worth the largest share"),
    bytes("active-defrag-ignore-bytes", 100 * MIB, 1, "unused pages too few to start it"),
    int("active-defrag-max-scan-fields", 1000, 1, i64::MAX, "fields scanned in one step").inert(NO_DEFRAG),
    int("prefetch-batch-max-size", 16, 0, 128, "keys fetched ahead at once")
        .hidden()
        .inert("every batch is fetched ahead"),
    // Watching the server.
    int("slowlog-log-slower-than", 10_000, -1, i64::MAX, "microseconds of a command worth logging; -1 logs none"),
    int("slowlog-max-len", 128, 0, i64::MAX, "entries that the slow log keeps"),
    int("latency-monitor-threshold", 0, 0, i64::MAX, "milliseconds of an event worth recording; 0 records none"),
    boolean("latency-tracking", true, "keep a histogram of the latency of each command"),
    special("latency-tracking-info-percentiles", Kind::Percentiles, "percentiles that INFO latencystats shows"),
    special("notify-keyspace-events", Kind::Events, "classes of keyspace events to publish"),
    uint("tracking-table-max-keys", 1_000_000, 0, i64::MAX, "keys remembered for client-side caches"),
    int("busy-reply-threshold", 5000, 0, i64::MAX, "milliseconds after which a script makes the server busy")
        .alias("lua-time-limit"),
    boolean("lua-enable-deprecated-api", false, "let scripts use old functions").hidden().immutable().later(),
    // Persistence.
    special("save", Kind::Save, "save after SECONDS with CHANGES, pairs"),
    checked("dbfilename", "dump.rdb", check::dbfilename, "name of the snapshot file").protected(),
    boolean("rdbcompression", true, "compress strings in snapshots"),
    boolean("rdbchecksum", true, "end snapshots with a checksum").immutable(),
    boolean("rdb-save-incremental-fsync", true, "sync while saving"),
    boolean("rdb-del-sync-files", false, "delete snapshots made only for replicas").later(),
    int("rdb-key-save-delay", 0, INT_MIN, INT_MAX, "delay per saved key, us").hidden().inert(TEST_AID),
    int("key-load-delay", 0, INT_MIN, INT_MAX, "delay per loaded key, us").hidden(),
    int("loading-process-events-interval-bytes", 2 * MIB / 4, 1024, INT_MAX, "bytes loaded between looks at clients")
        .hidden()
        .inert(TEST_AID),
    boolean("stop-writes-on-bgsave-error", true, "refuse writes after a failed save"),
    names("sanitize-dump-payload", 0, SANITIZE, "how well RESTORE checks its payload").later(),
    boolean("appendonly", false, "keep an append-only file"),
    checked("appendfilename", "appendonly.aof", check::appendfilename, "base name of append-only files")
        .immutable()
        .later(),
    checked("appenddirname", "appendonlydir", check::appenddirname, "directory of append-only files")
        .immutable()
        .later(),
    names("appendfsync", 1, APPEND_FSYNC, "when the append-only file is synced"),
    boolean("no-appendfsync-on-rewrite", false, "do not sync during a rewrite"),
    int("auto-aof-rewrite-percentage", 100, 0, INT_MAX, "growth that starts a rewrite; 0 starts none"),
    signed_bytes("auto-aof-rewrite-min-size", 64 * MIB, 0, "smallest file that is rewritten"),
    boolean("aof-load-truncated", true, "load a file that was cut off"),
    boolean("aof-use-rdb-preamble", true, "start the append-only file with a snapshot").later(),
    boolean("aof-timestamp-enabled", false, "write times into the append-only file"),
    boolean("aof-rewrite-incremental-fsync", true, "sync while rewriting"),
    boolean("aof-disable-auto-gc", false, "keep old append-only files").hidden().inert(TEST_AID),
    // Replication.
    special("replicaof", Kind::Primary, "primary to follow: host and port").alias("slaveof").immutable().later(),
    text("masterauth", "", "password for the primary").later(),
    text("masteruser", "", "user for the primary").later(),
    boolean("replica-serve-stale-data", true, "answer while not in touch with the primary")
        .alias("slave-serve-stale-data")
        .later(),
    boolean("replica-read-only", true, "refuse writes on a replica").alias("slave-read-only").later(),
    boolean("replica-ignore-maxmemory", true, "leave eviction to the primary").alias("slave-ignore-maxmemory").later(),
    boolean("replica-ignore-disk-write-errors", false, "go on when the disk fails").later(),
    boolean("replica-lazy-flush", false, "free the old data in the background").alias("slave-lazy-flush").later(),
    int("replica-priority", 100, 0, INT_MAX, "preference for promotion; 0 never").alias("slave-priority").later(),
    boolean("replica-announced", true, "show this replica to Sentinel").later(),
    text("replica-announce-ip", "", "address told to the primary").alias("slave-announce-ip").later(),
    int("replica-announce-port", 0, 0, 65535, "port told to the primary").alias("slave-announce-port").later(),
    signed_bytes("replica-full-sync-buffer-limit", 0, 0, "bytes buffered by a replica during a full sync").later(),
    signed_bytes("repl-backlog-size", MIB, 1, "bytes kept for replicas that come back")
        .settles_on_set(|size| size.max(16 << 10))
        .later(),
    int("repl-backlog-ttl", 3600, 0, i64::MAX, "seconds that the backlog outlives the last replica").later(),
    int("repl-timeout", 60, 1, INT_MAX, "seconds of silence that break a replication link").later(),
    int("repl-ping-replica-period", 10, 1, INT_MAX, "seconds between pings to replicas")
        .alias("repl-ping-slave-period")
        .later(),
    boolean("repl-disable-tcp-nodelay", false, "fewer packets to replicas, more delay").later(),
    boolean("repl-diskless-sync", true, "send snapshots without a file").later(),
    int("repl-diskless-sync-delay", 5, 0, INT_MAX, "seconds to wait for more replicas").later(),
    int("repl-diskless-sync-max-replicas", 0, 0, INT_MAX, "replicas that end that wait").later(),
    names("repl-diskless-load", 0, DISKLESS_LOAD, "how a replica loads a snapshot from the link").later(),
    boolean("repl-rdb-channel", true, "a second link for the snapshot").hidden().later(),
    int("min-replicas-to-write", 0, 0, INT_MAX, "replicas without which writes are refused")
        .alias("min-slaves-to-write")
        .later(),
    int("min-replicas-max-lag", 10, 0, INT_MAX, "seconds that such a replica may lag")
        .alias("min-slaves-max-lag")
        .later(),
    names("propagation-error-behavior", 0, PROPAGATION, "what a failing propagated command does").later(),
    // Cluster.
    boolean("cluster-enabled", false, "be a node of a cluster").immutable().later(),
    text("cluster-config-file", "nodes.conf", "file where the node keeps the cluster's state").immutable().later(),
    int("cluster-node-timeout", 15_000, 0, i64::MAX, "milliseconds after which a silent node is suspect").later(),
    int("cluster-ping-interval", 0, 0, i64::MAX, "milliseconds between pings").hidden().inert(TEST_AID),
    int("cluster-port", 0, 0, 65535, "port of the cluster bus; 0 is the port plus 10000").immutable().later(),
    int("cluster-replica-validity-factor", 10, 0, INT_MAX, "how stale a replica may be and still take over")
        .alias("cluster-slave-validity-factor")
        .later(),
    boolean("cluster-replica-no-failover", false, "never take over").alias("cluster-slave-no-failover").later(),
    boolean("cluster-require-full-coverage", true, "stop when a slot has no owner").later(),
    boolean("cluster-allow-reads-when-down", false, "answer reads while the cluster is down").later(),
    boolean("cluster-allow-pubsubshard-when-down", true, "shard channels while the cluster is down").later(),
    boolean("cluster-allow-replica-migration", true, "let replicas move to orphaned primaries").later(),
    int("cluster-migration-barrier", 1, 0, INT_MAX, "replicas that a primary keeps").later(),
    bytes("cluster-link-sendbuf-limit", 0, 0, "bytes waiting on a bus link; 0 is no limit").later(),
    text("cluster-announce-ip", "", "address told to other nodes").later(),
    int("cluster-announce-port", 0, 0, 65535, "port told to other nodes").later(),
    int("cluster-announce-tls-port", 0, 0, 65535, "TLS port told to other nodes").later(),
    int("cluster-announce-bus-port", 0, 0, 65535, "bus port told to other nodes").later(),
    checked("cluster-announce-hostname", "", check::hostname, "host name told to other nodes")
        .unset_when_empty()
        .later(),
    checked("cluster-announce-human-nodename", "", check::node_name, "name of the node in logs")
        .unset_when_empty()
        .later(),
    names("cluster-preferred-endpoint-type", 0, ENDPOINT, "what redirects name").later(),
    int("cluster-compatibility-sample-ratio", 0, 0, 100, "share of commands checked for cluster use, percent").later(),
    boolean("cluster-slot-stats-enabled", false, "keep statistics of each slot").later(),
    // TLS.
    int("tls-port", 0, 0, 65535, "TLS port; 0 listens on none"),
    text("tls-cert-file", "", "certificate, PEM, with those of intermediate authorities behind it").reference(),
    text("tls-key-file", "", "private key, PEM").reference(),
    text("tls-key-file-pass", "", "password of the private key"),
    text("tls-client-cert-file", "", "certificate for outgoing links").reference().later(),
    text("tls-client-key-file", "", "private key for outgoing links").reference().later(),
    text("tls-client-key-file-pass", "", "password of that key").later(),
    text("tls-dh-params-file", "", "Diffie-Hellman parameters").reference().inert(NO_FINITE_FIELDS),
    text("tls-ca-cert-file", "", "certificates of authorities, one file").reference(),
    text("tls-ca-cert-dir", "", "certificates of authorities, a directory").reference(),
    names("tls-auth-clients", 1, TLS_AUTH, "whether clients need a certificate"),
    boolean("tls-replication", false, "use TLS to the primary").later(),
    boolean("tls-cluster", false, "use TLS on the cluster bus").later(),
    text("tls-protocols", "", "allowed protocol versions, of TLSv1.2 and TLSv1.3"),
    text("tls-ciphers", "", "allowed ciphers of TLS 1.2, in OpenSSL's notation"),
    text("tls-ciphersuites", "", "allowed cipher suites of TLS 1.3"),
    boolean("tls-prefer-server-ciphers", false, "the server's order of ciphers decides"),
    boolean("tls-session-caching", true, "let clients resume their sessions"),
    int("tls-session-cache-size", 20_480, 0, INT_MAX, "sessions cached; 0 is no limit"),
    int("tls-session-cache-timeout", 300, 0, INT_MAX, "seconds that a session is cached"),
    // Threads and I/O. `io-threads` counts reactors here, so that its default is one per core rather than 1.
    special("io-threads", Kind::Cores(REACTORS), "threads that serve clients; all cores unless set").immutable(),
    names("io-engine", 0, IO_ENGINES, "how the kernel is asked for input and output").immutable(),
    int("tls-handshake-timeout", 10, 0, INT_MAX, "seconds that a TLS handshake may take; 0 is no limit"),
    names("log-format", 0, LOG_FORMATS, "how lines of the log are written"),
    int("metrics-port", 0, 0, 65535, "port of the metrics endpoint, HTTP; 0 is none"),
    text("metrics-bind", "127.0.0.1", "address of the metrics endpoint"),
    names("partitions", 256, PARTITIONS, "slices of the keyspace, a power of two").immutable(),
];

const REACTORS: IntSpec = IntSpec { min: 1, max: 128, unsigned: false, form: Form::Plain };
const PARTITIONS: &[(&str, i64)] = &[
    ("1", 1),
    ("2", 2),
    ("4", 4),
    ("8", 8),
    ("16", 16),
    ("32", 32),
    ("64", 64),
    ("128", 128),
    ("256", 256),
    ("512", 512),
    ("1024", 1024),
    ("2048", 2048),
    ("4096", 4096),
];
const LOG_FORMATS: &[(&str, i64)] = &[("redis", 0), ("logfmt", 1), ("json", 2)];
const IO_ENGINES: &[(&str, i64)] = &[("auto", 0), ("io_uring", 1), ("epoll", 2)];
const SUPERVISED: &[(&str, i64)] = &[("upstart", 3), ("systemd", 2), ("auto", 1), ("no", 0)];
const LOG_LEVELS: &[(&str, i64)] = &[("debug", 0), ("verbose", 1), ("notice", 2), ("warning", 3), ("nothing", 4)];
/// Numbers are those of the C library's `syslog`.
const SYSLOG_FACILITIES: &[(&str, i64)] = &[
    ("user", 1 << 3),
    ("local0", 16 << 3),
    ("local1", 17 << 3),
    ("local2", 18 << 3),
    ("local3", 19 << 3),
    ("local4", 20 << 3),
    ("local5", 21 << 3),
    ("local6", 22 << 3),
    ("local7", 23 << 3),
];
const OOM_SCORE: &[(&str, i64)] = &[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];
const ACL_PUBSUB: &[(&str, i64)] = &[("allchannels", 1), ("resetchannels", 0)];
const WHO: &[(&str, i64)] = &[("no", 0), ("yes", 1), ("local", 2)];
const EVICTION: &[(&str, i64)] = &[
    ("volatile-lru", 0),
    ("volatile-lfu", 1),
    ("volatile-random", 2),
    ("volatile-ttl", 3),
    ("allkeys-lru", 4),
    ("allkeys-lfu", 5),
    ("allkeys-random", 6),
    ("noeviction", 7),
];
const SANITIZE: &[(&str, i64)] = &[("no", 0), ("yes", 1), ("clients", 2)];
const APPEND_FSYNC: &[(&str, i64)] = &[("everysec", 1), ("always", 2), ("no", 0)];
const DISKLESS_LOAD: &[(&str, i64)] = &[("disabled", 0), ("on-empty-db", 1), ("swapdb", 2)];
const PROPAGATION: &[(&str, i64)] = &[("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];
const ENDPOINT: &[(&str, i64)] = &[("ip", 0), ("hostname", 1), ("unknown-endpoint", 2)];
const TLS_AUTH: &[(&str, i64)] = &[("no", 0), ("yes", 1), ("optional", 2)];
const SHUTDOWN: &[(&str, i64)] = &[
    ("default", shutdown::DEFAULT),
    ("save", shutdown::SAVE),
    ("nosave", shutdown::NOSAVE),
    ("now", shutdown::NOW),
    ("force", shutdown::FORCE),
];

impl Param {
    const fn shutdown_flags(mut self) -> Param {
        self.kind = Kind::Flags(shutdown::DEFAULT, SHUTDOWN);
        self
    }
}

/// Directives of old versions that are read and forgotten when they come with one argument.
pub const FORGOTTEN: [&str; 4] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands", "io-threads-do-reads"];

/// Position in [`PARAMS`] of the parameter with this name or alias, ASCII case ignored. O(1).
pub fn find(name: &[u8]) -> Option<usize> {
    static INDEX: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let names =
            |(at, p): (usize, &Param)| [Some(p.name), p.alias].into_iter().flatten().map(move |name| (name, at));
        PARAMS.iter().enumerate().flat_map(names).collect()
    });
    let lower = name.to_ascii_lowercase();
    index.get(std::str::from_utf8(&lower).ok()?).copied()
}

/// Every parameter with its default and its purpose, as `--help` would not dare to print unasked.
pub fn help() -> String {
    let mut out = String::new();
    for param in PARAMS.iter().filter(|p| !p.hidden) {
        let default = param.kind.show(&param.kind.default_value());
        let default = String::from_utf8_lossy(&default);
        out.push_str(&format!(
            "{} {}\n    {}\n",
            param.name,
            if default.is_empty() { "\"\"" } else { &default },
            param.about
        ));
    }
    out
}
