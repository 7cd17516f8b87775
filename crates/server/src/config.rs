//! Temporary.
#![allow(missing_docs)]
use kinovar_command::keyspace::Settings;
use kinovar_io::engine::EngineKind;
use std::sync::Arc;
#[derive(Clone, Copy, Default)]
pub struct OutputLimit {
    pub hard: u64,
    pub soft: u64,
    pub soft_s: u64,
}
pub struct Config {
    pub bind: Vec<String>,
    pub port: u16,
    pub unixsocket: String,
    pub unixsocketperm: u32,
    pub tcp_backlog: u32,
    pub tcp_keepalive: i64,
    pub timeout: i64,
    pub maxclients: u64,
    pub client_query_buffer_limit: u64,
    pub client_output_buffer_limits: [OutputLimit; 3],
    pub proto_max_bulk_len: u64,
    pub databases: u32,
    pub io_threads: usize,
    pub io_engine: EngineKind,
    pub requirepass: String,
    pub protected_mode: bool,
    pub slowlog_log_slower_than: i64,
    pub slowlog_max_len: u64,
    pub latency_tracking: bool,
    pub latency_monitor_threshold: i64,
    pub slow_ns: u64,
    pub renamed_commands: Vec<(String, String)>,
}
impl Config {
    pub fn settings(&self) -> Settings {
        Settings::default()
    }
}
pub struct ConfigHandle(pub Arc<Config>);
impl ConfigHandle {
    pub fn current(&self) -> Arc<Config> {
        self.0.clone()
    }
    pub fn generation(&self) -> u64 {
        0
    }
}
pub fn from_args() -> ConfigHandle {
    let a: Vec<String> = std::env::args().collect();
    let get = |n: &str, d: &str| a.iter().position(|x| x == n).map(|i| a[i + 1].clone()).unwrap_or(d.into());
    ConfigHandle(Arc::new(Config {
        bind: vec!["127.0.0.1".into()],
        port: get("--port", "6379").parse().unwrap(),
        unixsocket: String::new(),
        unixsocketperm: 0,
        tcp_backlog: 511,
        tcp_keepalive: 300,
        timeout: 0,
        maxclients: 10000,
        client_query_buffer_limit: 1 << 30,
        client_output_buffer_limits: Default::default(),
        proto_max_bulk_len: 512 << 20,
        databases: 16,
        io_threads: get("--io-threads", "1").parse().unwrap(),
        io_engine: match get("--io-engine", "auto").as_str() {
            "epoll" => EngineKind::Epoll,
            "io_uring" => EngineKind::IoUring,
            _ => EngineKind::Auto,
        },
        requirepass: String::new(),
        protected_mode: true,
        slowlog_log_slower_than: 10000,
        slowlog_max_len: 128,
        latency_tracking: get("--latency-tracking", "yes") == "yes",
        latency_monitor_threshold: 0,
        slow_ns: 10_000_000,
        renamed_commands: vec![],
    }))
}
