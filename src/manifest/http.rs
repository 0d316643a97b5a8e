//! Transport settings (`http`), for all sources and for one.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;

/// How transfers behave.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Connections in all.
    pub connections: usize,
    /// Connections to one origin.
    pub connections_per_host: PerHost,
    /// Requests a second to one origin.
    pub requests_per_second: Option<f64>,
    /// Bytes a second.
    pub rate_limit: Option<u64>,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// The longest pause that a server may ask for.
    pub max_retry_after: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long no byte may come, the head of an answer included.
    pub stall_timeout: Duration,
    /// The slowest rate in bytes a second, averaged over a minute; 0 for any.
    pub min_rate: u64,
    /// How many redirects are followed.
    pub redirects: u32,
    /// `User-Agent`, instead of natsync's own.
    pub user_agent: Option<String>,
    /// The proxy to ask through.
    pub proxy: Proxy,
    /// The certificates to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// Ranges of one large file at a time.
    pub segments: usize,
    /// Smaller files are got in one piece, in bytes.
    pub segment_min_size: u64,
}

/// Whether HTTP/2 is spoken with origins that are asked over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Http2 {
    /// Where the origin offers it.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Never,
    /// Nothing else.
    Always,
}

/// Connections to one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerHost {
    /// From 10 upwards while that pays and the origin does not object.
    Auto,
    /// So many.
    Fixed(usize),
}

/// Which proxy is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// What the environment says.
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This one.
    Url {
        /// Its URL, maybe with a user and a password.
        url: Secret,
        /// The same as it may be printed, user and password apart.
        shown: String,
    },
}

impl Default for Http {
    fn default() -> Self {
        Self {
            connections: 64,
            connections_per_host: PerHost::Auto,
            requests_per_second: None,
            rate_limit: None,
            retries: 4,
            max_retry_after: Duration::from_mins(2),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            min_rate: 64,
            redirects: 10,
            user_agent: None,
            proxy: Proxy::Environment,
            ca_file: None,
            http2: Http2::Auto,
            segments: 1,
            segment_min_size: 64 * 1024 * 1024,
        }
    }
}
