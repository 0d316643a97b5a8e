//! Transport settings (the key `http`), of the manifest and of a source.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;

/// Transport settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// The most connections at a time, over all origins.
    pub connections: usize,
    /// The most connections to one origin at a time.
    pub connections_per_host: PerHost,
    /// The most requests per second to one origin.
    pub requests_per_second: Option<f64>,
    /// The most bytes per second, over all transfers.
    pub rate_limit: Option<u64>,
    /// How many times a failed request is repeated.
    pub retries: u32,
    /// The longest `Retry-After` that is obeyed.
    pub max_retry_after: Duration,
    /// Time limit for making a connection.
    pub connect_timeout: Duration,
    /// The longest time without a received byte, while waiting for the response head or its body.
    pub stall_timeout: Duration,
    /// The lowest accepted rate in bytes per second, averaged over a minute; 0 for no limit.
    pub min_rate: u64,
    /// How many redirects are followed.
    pub redirects: u32,
    /// The `User-Agent` header, if not natsync's own.
    pub user_agent: Option<String>,
    /// The proxy that requests go through.
    pub proxy: Proxy,
    /// A file with the CA certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether HTTP/2 is used.
    pub http2: Http2,
    /// How many ranges of one large file are downloaded at the same time.
    pub segments: usize,
    /// In bytes: smaller files are downloaded in one piece.
    pub segment_min_size: u64,
}

/// Whether HTTP/2 is used with `https` origins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Http2 {
    /// If the origin offers it in the TLS handshake (ALPN).
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Never,
    /// HTTP/2 only: an origin that does not offer it fails.
    Always,
}

/// How many connections one origin gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerHost {
    /// Starts with 10, and adds more while throughput grows and the origin does not refuse them.
    Auto,
    /// As `Auto`, but starts with this number.
    AutoFrom(usize),
    /// This number.
    Fixed(usize),
}

/// Which proxy requests go through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// The one that the environment variables name, such as `HTTPS_PROXY`.
    #[default]
    Environment,
    /// No proxy, even if environment variables name one.
    None,
    /// An HTTP proxy.
    Url {
        /// Its URL, which may contain a user and a password.
        url: Secret,
        /// The URL as it may be printed, with placeholders for values from the environment.
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
