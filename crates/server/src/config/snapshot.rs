//! The configuration as code reads it: typed, immutable, made anew after each change.

use std::path::PathBuf;

use kinovar_keyspace::settings::Settings;

use super::events;
use super::kind::{OutputLimit, SaveRule, Value, shutdown};
use super::store::{Store, bytes_path};

/// Which event loop serves connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoEngine {
    /// io_uring where the kernel allows it, else epoll.
    Auto,
    /// io_uring, or refuse to start.
    IoUring,
    /// epoll.
    Epoll,
}

/// Which keys give way when memory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the policy of its name")]
pub enum EvictionPolicy {
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    NoEviction,
}

impl EvictionPolicy {
    /// Whether keys are ranked by how often they are used.
    pub fn is_lfu(self) -> bool {
        matches!(self, EvictionPolicy::VolatileLfu | EvictionPolicy::AllkeysLfu)
    }

    /// Whether keys are ranked by when they were last used.
    pub fn is_lru(self) -> bool {
        matches!(self, EvictionPolicy::VolatileLru | EvictionPolicy::AllkeysLru)
    }

    fn from_number(number: i64) -> EvictionPolicy {
        use EvictionPolicy::*;
        const ALL: [EvictionPolicy; 8] =
            [VolatileLru, VolatileLfu, VolatileRandom, VolatileTtl, AllkeysLru, AllkeysLfu, AllkeysRandom, NoEviction];
        ALL[usize::try_from(number).expect("numbers of the table start at 0")]
    }
}

/// When the append-only file is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// When the system finds the time.
    No,
    /// Every second.
    EverySec,
    /// Before anybody is told of what was written.
    Always,
}

impl AppendFsync {
    fn from_number(number: i64) -> AppendFsync {
        match number {
            0 => AppendFsync::No,
            1 => AppendFsync::EverySec,
            _ => AppendFsync::Always,
        }
    }
}

/// Who may use something dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody.
    Nobody,
    /// Everybody.
    Everybody,
    /// Clients on this machine.
    Local,
}

impl Who {
    /// Whether a client may, that is or is not on this machine.
    pub fn allows(self, client_is_local: bool) -> bool {
        match self {
            Who::Nobody => false,
            Who::Everybody => true,
            Who::Local => client_is_local,
        }
    }

    /// What a parameter of this type says.
    pub(super) fn of(store: &Store, name: &str) -> Who {
        Who::from_number(store.number(name))
    }

    fn from_number(number: i64) -> Who {
        match number {
            0 => Who::Nobody,
            1 => Who::Everybody,
            _ => Who::Local,
        }
    }
}

/// How important a log line must be to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Much of little use.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// Only what is wrong.
    Warning,
    /// No line at all.
    Nothing,
}

impl LogLevel {
    fn from_number(number: i64) -> LogLevel {
        match number {
            0 => LogLevel::Debug,
            1 => LogLevel::Verbose,
            2 => LogLevel::Notice,
            3 => LogLevel::Warning,
            _ => LogLevel::Nothing,
        }
    }
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// As the reference does.
    Redis,
    /// `key=value` pairs.
    Logfmt,
    /// A JSON object each.
    Json,
}

/// Who started the server and wants to hear that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Nobody.
    No,
    /// Whoever the environment names.
    Auto,
    /// systemd, over its socket.
    Systemd,
    /// upstart, by a stop signal.
    Upstart,
}

/// What a termination signal does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// Save even without save rules.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// End even when saving fails.
    pub force: bool,
}

impl ShutdownOptions {
    fn from_number(flags: i64) -> ShutdownOptions {
        ShutdownOptions {
            save: flags & shutdown::SAVE != 0,
            nosave: flags & shutdown::NOSAVE != 0,
            now: flags & shutdown::NOW != 0,
            force: flags & shutdown::FORCE != 0,
        }
    }
}

/// Limit of the memory of all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsMemory {
    /// None.
    Unlimited,
    /// Bytes.
    Bytes(u64),
    /// A share of `maxmemory`.
    PercentOfMaxmemory(u32),
}

/// `activedefrag` and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the parameter of its name; the table says what it does")]
pub struct Defragmentation {
    pub is_on: bool,
    pub cycle_min: u64,
    pub cycle_max: u64,
    pub threshold_lower: u64,
    pub threshold_upper: u64,
    pub ignore_bytes: u64,
}

/// How `oom-score-adj-values` are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomScoreAdj {
    /// Not at all.
    No,
    /// Added to the score at start.
    Relative,
    /// As they are.
    Absolute,
}

/// Whether clients of the TLS port need a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsAuth {
    /// They are not asked for one.
    No,
    /// Without a good one they are refused.
    Yes,
    /// They may do without, but a bad one is refused.
    Optional,
}

/// What TLS connections of clients are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the parameter of its name; the table says what it does")]
pub struct TlsSettings {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub key_file_pass: Vec<u8>,
    pub ca_cert_file: Option<PathBuf>,
    pub ca_cert_dir: Option<PathBuf>,
    pub auth_clients: TlsAuth,
    pub protocols: String,
    pub ciphers: String,
    pub ciphersuites: String,
    pub prefer_server_ciphers: bool,
    pub session_caching: bool,
    /// 0: no limit.
    pub session_cache_size: usize,
    pub session_cache_timeout_s: u64,
}

impl TlsSettings {
    fn from_store(store: &Store) -> TlsSettings {
        let path = |name| Some(store.text(name)).filter(|text| !text.is_empty()).map(bytes_path);
        let utf8 = |name| String::from_utf8_lossy(store.text(name)).into_owned();
        TlsSettings {
            cert_file: path("tls-cert-file"),
            key_file: path("tls-key-file"),
            key_file_pass: store.text("tls-key-file-pass").to_vec(),
            ca_cert_file: path("tls-ca-cert-file"),
            ca_cert_dir: path("tls-ca-cert-dir"),
            auth_clients: match store.number("tls-auth-clients") {
                0 => TlsAuth::No,
                1 => TlsAuth::Yes,
                _ => TlsAuth::Optional,
            },
            protocols: utf8("tls-protocols"),
            ciphers: utf8("tls-ciphers"),
            ciphersuites: utf8("tls-ciphersuites"),
            prefer_server_ciphers: store.flag("tls-prefer-server-ciphers"),
            session_caching: store.flag("tls-session-caching"),
            session_cache_size: usize::try_from(store.size("tls-session-cache-size")).unwrap_or(usize::MAX),
            session_cache_timeout_s: store.size("tls-session-cache-timeout"),
        }
    }
}

/// Every parameter that has a meaning here, by the name of its parameter, with the unit at the end where it needs one.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each field is the parameter of its name; the table says what it does")]
pub struct Config {
    pub bind: Vec<String>,
    pub port: u16,
    pub unixsocket: Option<PathBuf>,
    /// 0 leaves the permissions that the system gave.
    pub unixsocketperm: u32,
    pub tcp_backlog: i32,
    pub tcp_keepalive_s: u32,
    pub timeout_s: u32,
    pub maxclients: u32,
    pub max_new_connections_per_cycle: u32,
    pub tls_port: u16,
    pub max_new_tls_connections_per_cycle: u32,
    /// 0: no limit.
    pub tls_handshake_timeout_s: u32,
    pub tls: TlsSettings,
    pub protected_mode: bool,
    pub client_query_buffer_limit_bytes: u64,
    /// Normal clients, replicas, subscribers.
    pub client_output_buffer_limits: [OutputLimit; 3],
    pub maxmemory_clients: ClientsMemory,
    pub proto_max_bulk_len: u64,
    pub io_threads: usize,
    pub io_engine: IoEngine,
    pub partitions: usize,

    pub daemonize: bool,
    pub supervised: Supervised,
    pub pidfile: Option<PathBuf>,
    pub loglevel: LogLevel,
    pub logfile: Option<PathBuf>,
    pub log_format: LogFormat,
    pub metrics_port: u16,
    pub metrics_bind: String,
    pub syslog_enabled: bool,
    pub syslog_ident: String,
    /// The C library's number.
    pub syslog_facility: i32,
    pub hide_user_data_from_log: bool,
    pub always_show_logo: bool,
    pub set_proc_title: bool,
    pub proc_title_template: String,
    pub locale_collate: String,
    pub ignore_warnings: Vec<String>,
    pub dir: PathBuf,
    pub oom_score_adj: OomScoreAdj,
    /// Primary, replica, background child.
    pub oom_score_adj_values: [i32; 3],
    pub shutdown_on_sigint: ShutdownOptions,
    pub shutdown_on_sigterm: ShutdownOptions,
    pub shutdown_timeout_s: u32,
    pub jemalloc_bg_thread: bool,
    pub defragmentation: Defragmentation,

    /// Empty: no password.
    pub requirepass: Vec<u8>,
    /// `aclfile`; empty for none.
    pub aclfile: Vec<u8>,
    /// `acl-pubsub-default`: whether a new user may use all channels.
    pub acl_all_channels: bool,
    /// `acllog-max-len`.
    pub acllog_max_len: usize,
    pub enable_protected_configs: Who,
    pub enable_debug_command: Who,

    pub databases: usize,
    /// 0: no limit.
    pub maxmemory_bytes: u64,
    pub maxmemory_policy: EvictionPolicy,
    pub maxmemory_samples: usize,
    pub maxmemory_eviction_tenacity: u32,
    pub lfu_log_factor: u32,
    pub lfu_decay_time_min: u32,
    pub hz: u32,
    pub active_expire_effort: u32,
    pub lazyfree_lazy_eviction: bool,
    pub lazyfree_lazy_expire: bool,
    pub lazyfree_lazy_server_del: bool,
    pub lazyfree_lazy_user_del: bool,
    pub lazyfree_lazy_user_flush: bool,
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    pub list_max_listpack_size: i32,
    pub list_compress_depth: u32,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
    pub hll_sparse_max_bytes: usize,
    /// 0: no limit.
    pub stream_node_max_bytes: usize,
    /// 0: no limit.
    pub stream_node_max_entries: usize,

    /// Negative: nothing is logged.
    pub slowlog_log_slower_than_us: i64,
    pub slowlog_max_len: u64,
    /// 0: nothing is recorded.
    pub latency_monitor_threshold_ms: u64,
    pub latency_tracking: bool,
    /// 0: nobody is told.
    pub busy_reply_threshold_ms: u64,
    /// Whether idle time goes into the resizing of tables.
    pub activerehashing: bool,
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// 0: no limit.
    pub tracking_table_max_keys: usize,
    /// Flags of [`events`].
    pub notify_keyspace_events: u32,

    pub save: Vec<SaveRule>,
    pub dbfilename: PathBuf,
    pub rdb_compression: bool,
    /// Whether the checksums of snapshots are written and verified.
    pub rdb_checksum: bool,
    pub rdb_save_incremental_fsync: bool,
    pub stop_writes_on_bgsave_error: bool,
    /// Delay per loaded key; 1 us for one of so many keys if it is negative.
    pub key_load_delay_us: i32,
    pub appendonly: bool,
    pub appenddirname: PathBuf,
    pub appendfilename: String,
    pub aof_load_truncated: bool,
    pub appendfsync: AppendFsync,
    pub no_appendfsync_on_rewrite: bool,
    /// Growth that starts a rewrite; 0 starts none.
    pub auto_aof_rewrite_percentage: u64,
    pub auto_aof_rewrite_min_size_bytes: u64,
    pub aof_use_rdb_preamble: bool,
    pub aof_timestamp_enabled: bool,
    pub aof_rewrite_incremental_fsync: bool,
    pub cluster_enabled: bool,
}

impl Config {
    /// Reads a store. O(number of parameters); meant for changes, not for hot paths.
    pub fn from_store(store: &Store) -> Config {
        let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let path = |name| Some(store.text(name)).filter(|text| !text.is_empty()).map(bytes_path);
        let count = |name| usize::try_from(store.size(name)).unwrap_or(usize::MAX);
        let small = |name| u32::try_from(store.size(name)).unwrap_or(u32::MAX);
        Config {
            bind: match store.special("bind") {
                Value::Words(words) => words.iter().map(|word| utf8(word)).collect(),
                other => unreachable!("bind is {other:?}"),
            },
            port: u16::try_from(store.number("port")).expect("the table's range is that of ports"),
            unixsocket: path("unixsocket"),
            unixsocketperm: small("unixsocketperm"),
            tcp_backlog: small("tcp-backlog") as i32,
            tcp_keepalive_s: small("tcp-keepalive"),
            timeout_s: small("timeout"),
            maxclients: small("maxclients"),
            max_new_connections_per_cycle: small("max-new-connections-per-cycle"),
            tls_port: u16::try_from(store.number("tls-port")).expect("the table's range is that of ports"),
            max_new_tls_connections_per_cycle: small("max-new-tls-connections-per-cycle"),
            tls_handshake_timeout_s: small("tls-handshake-timeout"),
            tls: TlsSettings::from_store(store),
            protected_mode: store.flag("protected-mode"),
            client_query_buffer_limit_bytes: store.size("client-query-buffer-limit"),
            client_output_buffer_limits: match store.special("client-output-buffer-limit") {
                Value::OutputLimits(limits) => *limits,
                other => unreachable!("client-output-buffer-limit is {other:?}"),
            },
            maxmemory_clients: clients_memory(store.number("maxmemory-clients")),
            proto_max_bulk_len: store.size("proto-max-bulk-len"),
            io_threads: count("io-threads"),
            io_engine: match store.number("io-engine") {
                0 => IoEngine::Auto,
                1 => IoEngine::IoUring,
                _ => IoEngine::Epoll,
            },
            partitions: count("partitions"),

            daemonize: store.flag("daemonize"),
            supervised: match store.number("supervised") {
                0 => Supervised::No,
                1 => Supervised::Auto,
                2 => Supervised::Systemd,
                _ => Supervised::Upstart,
            },
            pidfile: path("pidfile"),
            loglevel: LogLevel::from_number(store.number("loglevel")),
            logfile: path("logfile"),
            log_format: match store.number("log-format") {
                0 => LogFormat::Redis,
                1 => LogFormat::Logfmt,
                _ => LogFormat::Json,
            },
            metrics_port: u16::try_from(store.number("metrics-port")).expect("the table's range is that of ports"),
            metrics_bind: utf8(store.text("metrics-bind")),
            syslog_enabled: store.flag("syslog-enabled"),
            syslog_ident: utf8(store.text("syslog-ident")),
            syslog_facility: store.number("syslog-facility") as i32,
            hide_user_data_from_log: store.flag("hide-user-data-from-log"),
            always_show_logo: store.flag("always-show-logo"),
            set_proc_title: store.flag("set-proc-title"),
            proc_title_template: utf8(store.text("proc-title-template")),
            locale_collate: utf8(store.text("locale-collate")),
            ignore_warnings: utf8(store.text("ignore-warnings")).split_whitespace().map(str::to_owned).collect(),
            dir: store.current_dir(),
            oom_score_adj: match store.number("oom-score-adj") {
                0 => OomScoreAdj::No,
                1 => OomScoreAdj::Relative,
                _ => OomScoreAdj::Absolute,
            },
            oom_score_adj_values: match store.special("oom-score-adj-values") {
                Value::OomScores(scores) => *scores,
                other => unreachable!("oom-score-adj-values is {other:?}"),
            },
            shutdown_on_sigint: ShutdownOptions::from_number(store.number("shutdown-on-sigint")),
            shutdown_on_sigterm: ShutdownOptions::from_number(store.number("shutdown-on-sigterm")),
            shutdown_timeout_s: small("shutdown-timeout"),
            jemalloc_bg_thread: store.flag("jemalloc-bg-thread"),
            defragmentation: Defragmentation {
                is_on: store.flag("activedefrag"),
                cycle_min: store.size("active-defrag-cycle-min"),
                cycle_max: store.size("active-defrag-cycle-max"),
                threshold_lower: store.size("active-defrag-threshold-lower"),
                threshold_upper: store.size("active-defrag-threshold-upper"),
                ignore_bytes: store.size("active-defrag-ignore-bytes"),
            },

            requirepass: store.text("requirepass").to_vec(),
            aclfile: store.text("aclfile").to_vec(),
            acl_all_channels: store.number("acl-pubsub-default") != 0,
            acllog_max_len: usize::try_from(store.number("acllog-max-len")).unwrap_or(usize::MAX),
            enable_protected_configs: Who::from_number(store.number("enable-protected-configs")),
            enable_debug_command: Who::from_number(store.number("enable-debug-command")),

            databases: count("databases"),
            maxmemory_bytes: store.size("maxmemory"),
            maxmemory_policy: EvictionPolicy::from_number(store.number("maxmemory-policy")),
            maxmemory_samples: count("maxmemory-samples"),
            maxmemory_eviction_tenacity: small("maxmemory-eviction-tenacity"),
            lfu_log_factor: small("lfu-log-factor"),
            lfu_decay_time_min: small("lfu-decay-time"),
            hz: small("hz"),
            active_expire_effort: small("active-expire-effort"),
            lazyfree_lazy_eviction: store.flag("lazyfree-lazy-eviction"),
            lazyfree_lazy_expire: store.flag("lazyfree-lazy-expire"),
            lazyfree_lazy_server_del: store.flag("lazyfree-lazy-server-del"),
            lazyfree_lazy_user_del: store.flag("lazyfree-lazy-user-del"),
            lazyfree_lazy_user_flush: store.flag("lazyfree-lazy-user-flush"),
            hash_max_listpack_entries: count("hash-max-listpack-entries"),
            hash_max_listpack_value: count("hash-max-listpack-value"),
            list_max_listpack_size: i32::try_from(store.number("list-max-listpack-size"))
                .expect("the table's range is i32"),
            list_compress_depth: small("list-compress-depth"),
            set_max_intset_entries: count("set-max-intset-entries"),
            set_max_listpack_entries: count("set-max-listpack-entries"),
            set_max_listpack_value: count("set-max-listpack-value"),
            zset_max_listpack_entries: count("zset-max-listpack-entries"),
            zset_max_listpack_value: count("zset-max-listpack-value"),
            hll_sparse_max_bytes: count("hll-sparse-max-bytes"),
            stream_node_max_bytes: count("stream-node-max-bytes"),
            stream_node_max_entries: count("stream-node-max-entries"),

            slowlog_log_slower_than_us: store.number("slowlog-log-slower-than"),
            slowlog_max_len: store.size("slowlog-max-len"),
            latency_monitor_threshold_ms: store.size("latency-monitor-threshold"),
            latency_tracking: store.flag("latency-tracking"),
            busy_reply_threshold_ms: store.size("busy-reply-threshold"),
            activerehashing: store.flag("activerehashing"),
            latency_tracking_info_percentiles: match store.special("latency-tracking-info-percentiles") {
                Value::Percentiles(list) => list.clone(),
                other => unreachable!("latency-tracking-info-percentiles is {other:?}"),
            },
            tracking_table_max_keys: count("tracking-table-max-keys"),
            notify_keyspace_events: match store.special("notify-keyspace-events") {
                Value::Events(flags) => *flags,
                other => unreachable!("notify-keyspace-events is {other:?}"),
            },

            save: match store.special("save") {
                Value::Save(rules) => rules.clone(),
                other => unreachable!("save is {other:?}"),
            },
            dbfilename: bytes_path(store.text("dbfilename")),
            rdb_compression: store.flag("rdbcompression"),
            rdb_checksum: store.flag("rdbchecksum"),
            rdb_save_incremental_fsync: store.flag("rdb-save-incremental-fsync"),
            stop_writes_on_bgsave_error: store.flag("stop-writes-on-bgsave-error"),
            key_load_delay_us: i32::try_from(store.number("key-load-delay")).unwrap_or_default(),
            appendonly: store.flag("appendonly"),
            appenddirname: bytes_path(store.text("appenddirname")),
            appendfilename: utf8(store.text("appendfilename")),
            aof_load_truncated: store.flag("aof-load-truncated"),
            appendfsync: AppendFsync::from_number(store.number("appendfsync")),
            no_appendfsync_on_rewrite: store.flag("no-appendfsync-on-rewrite"),
            auto_aof_rewrite_percentage: u64::try_from(store.number("auto-aof-rewrite-percentage")).unwrap_or(0),
            auto_aof_rewrite_min_size_bytes: u64::try_from(store.number("auto-aof-rewrite-min-size")).unwrap_or(0),
            aof_use_rdb_preamble: store.flag("aof-use-rdb-preamble"),
            aof_timestamp_enabled: store.flag("aof-timestamp-enabled"),
            aof_rewrite_incremental_fsync: store.flag("aof-rewrite-incremental-fsync"),
            cluster_enabled: store.flag("cluster-enabled"),
        }
    }

    /// The part that concerns data, as the keyspace wants it.
    pub fn data_settings(&self) -> Settings {
        Settings {
            hash_max_listpack_entries: self.hash_max_listpack_entries,
            hash_max_listpack_value: self.hash_max_listpack_value,
            list_max_listpack_size: self.list_max_listpack_size,
            list_compress_depth: self.list_compress_depth,
            set_max_intset_entries: self.set_max_intset_entries,
            set_max_listpack_entries: self.set_max_listpack_entries,
            set_max_listpack_value: self.set_max_listpack_value,
            zset_max_listpack_entries: self.zset_max_listpack_entries,
            zset_max_listpack_value: self.zset_max_listpack_value,
            hll_sparse_max_bytes: self.hll_sparse_max_bytes,
            stream_node_max_bytes: self.stream_node_max_bytes,
            stream_node_max_entries: self.stream_node_max_entries,
            proto_max_bulk_len: self.proto_max_bulk_len,
            lfu: self.maxmemory_policy.is_lfu(),
            lfu_log_factor: self.lfu_log_factor,
            lfu_decay_time_min: self.lfu_decay_time_min,
            rdb_compression: self.rdb_compression,
            lazyfree_lazy_eviction: self.lazyfree_lazy_eviction,
            lazyfree_lazy_expire: self.lazyfree_lazy_expire,
            lazyfree_lazy_server_del: self.lazyfree_lazy_server_del,
        }
    }

    /// Whether keyspace events of this class (a flag of [`events`]) go anywhere.
    pub fn notifies(&self, class: u32) -> bool {
        let channels = events::KEYSPACE | events::KEYEVENT;
        self.notify_keyspace_events & channels != 0 && self.notify_keyspace_events & class != 0
    }
}

fn clients_memory(value: i64) -> ClientsMemory {
    match value {
        0 => ClientsMemory::Unlimited,
        1.. => ClientsMemory::Bytes(value.unsigned_abs()),
        _ => ClientsMemory::PercentOfMaxmemory(value.unsigned_abs() as u32),
    }
}
