//! HTTP, as far as natsync needs it: connections, requests, and pure decisions about responses.
//!
//! The library underneath (hyper) frames messages and does nothing else: it follows no redirect,
//! keeps no pool and repeats nothing, so what reaches an origin is decided here and in `transfer`.
//! No type of hyper leaves this room, and nothing here knows where the bytes of a body go.

mod body;
mod classify;
mod clock;
mod coding;
mod connect;
mod connection;
mod cookies;
mod errors;
mod exchange;
mod first_bytes;
mod forward;
mod handshake;
mod head;
mod headers;
mod heads;
mod integrity;
mod key;
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
mod status;
mod tls;
mod trust;
mod validators;

pub(crate) use body::{Body, BodyRules, Receiver, drain, receive};
#[cfg(any(test, feature = "internals"))]
pub(crate) use classify::Head;
pub(crate) use classify::{Asked, Content, Here, Length, NoContent, check_length, classify};
pub(crate) use clock::Clock;
pub(crate) use coding::{check_label, may_be_label};
pub(crate) use connect::{Dial, Internet, Network, Version, Wanted};
pub(crate) use connection::Connection;
pub(crate) use cookies::Jar;
pub(crate) use exchange::{Exchange, Response, exchange};
pub(crate) use headers::Headers;
pub(crate) use integrity::{OUT_OF_DATE, Stated, check_digests, stated_digests};
pub(crate) use origin::{Origin, Target};
pub(crate) use pace::Pace;
pub(crate) use redirect::{Hop, next_hop};
pub(crate) use request::{Method, Range, Request, Visit};
pub(crate) use retry::{RetryAfter, Verdict, bounded, is_transient, judge, pause};
pub(crate) use sniff::is_html;
pub(crate) use status::is_objection;
pub(crate) use validators::{contradict, http_date};
