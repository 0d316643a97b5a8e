//! HTTP, as far as natsync needs it: connections of our own, and pure decisions about what came back.
//!
//! The library underneath (hyper) frames messages and does nothing else: it follows no redirect,
//! keeps no pool and repeats nothing, so what reaches an origin is decided here and in `execute`.

mod beginning;
mod body;
mod classify;
mod connect;
mod connection;
mod exchange;
mod handshake;
mod integrity;
mod names;
mod no_proxy;
mod origin;
mod pace;
mod proxies;
mod proxy;
mod reach;
mod redirect;
mod request;
mod retry;
pub(crate) mod rewrite;
mod sniff;
mod tls;
mod trust;
mod validators;

pub(crate) use body::{BodyRules, EDGE, Receiver, Sink, Whole, receive};
pub(crate) use classify::{Answer, Asked, Head, Here, Length, classify};
pub(crate) use connect::{Dialer, Wanted};
pub(crate) use connection::Connection;
pub(crate) use exchange::{Exchange, exchange};
pub(crate) use integrity::{Stated, check_digests, stated_digests};
pub(crate) use names::Names;
pub(crate) use origin::{Origin, Target};
pub(crate) use pace::Pace;
pub(crate) use redirect::{Hop, next_hop};
pub(crate) use request::{Conditions, Method, Range, RequestPlan};
pub(crate) use retry::{Backoff, RetryAfter, Verdict, is_transient, judge, pause};
pub(crate) use sniff::is_html;
pub(crate) use validators::{http_date, single, upstream_validators};
