//! Thresholds and policies that values obey; a copy of the configuration's part that concerns data.

/// See the configuration parameters of the same names.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each field is the parameter of its name")]
pub struct Settings {
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    /// Negative: size class of a node (-1 4 KB … -5 64 KB); positive: number of elements.
    pub list_max_listpack_size: i32,
    pub list_compress_depth: u32,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
    /// 0 is no limit.
    pub stream_node_max_bytes: usize,
    /// 0 is no limit.
    pub stream_node_max_entries: usize,
    /// Longest sparse HyperLogLog, bytes.
    pub hll_sparse_max_bytes: usize,
    /// Longest string that APPEND and SETRANGE may build, bytes.
    pub proto_max_bulk_len: u64,
    /// Whether `maxmemory-policy` counts accesses (LFU) rather than remembering the last one (LRU).
    pub lfu: bool,
    pub lfu_log_factor: u32,
    pub lfu_decay_time_min: u32,
    /// Whether strings are compressed in RDB files and by DUMP.
    pub rdb_compression: bool,
    /// Keys that are evicted go by `UNLINK` where effects are kept, not by `DEL`.
    pub lazyfree_lazy_eviction: bool,
    /// Keys that expire go by `UNLINK` where effects are kept, not by `DEL`.
    pub lazyfree_lazy_expire: bool,
    /// The same for values that commands leave empty.
    pub lazyfree_lazy_server_del: bool,
}

impl Settings {
    /// The command by which a key goes whose time has come.
    pub fn word_of_expiry(&self) -> &'static [u8] {
        if self.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" }
    }

    /// The command by which a key goes that is evicted.
    pub fn word_of_eviction(&self) -> &'static [u8] {
        if self.lazyfree_lazy_eviction { b"UNLINK" } else { b"DEL" }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
            proto_max_bulk_len: 512 << 20,
            lfu: false,
            lfu_log_factor: 10,
            lfu_decay_time_min: 1,
            rdb_compression: true,
            lazyfree_lazy_eviction: false,
            lazyfree_lazy_expire: false,
            lazyfree_lazy_server_del: false,
        }
    }
}
