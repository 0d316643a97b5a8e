//! What a simulated origin does instead of a plain response. A new fault is a variant of [`Fault`],
//! an entry of [`Fault::draw`], and an arm of [`Fault::acts`].

use std::time::Duration;

use super::message::{Request, response, split, unframed, whole};

/// Bodies of at most this many bytes are never cut without a trace.
const FEW: usize = 256;

/// What an origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing wrong.
    None,
    /// No response.
    Silence,
    /// The connection ends before a response.
    Close,
    /// The connection ends in the middle of the head.
    CutHead,
    /// The connection ends in the middle of the body.
    CutBody,
    /// The same, in the response to a plain GET, without a length. No two of them in a row are of
    /// the same length.
    CutUnframed,
    /// Silence in the middle of the body.
    Stall,
    /// Silence after that many bytes of the body, if there are more.
    StallAfter(usize),
    /// The body comes in pieces, each of them before the longest silence.
    Drip,
    /// A good response, after which the connection ends without notice.
    CloseAfter,
    Status(u16),
    /// With `Retry-After`, in seconds.
    RetryAfter(u16, u32),
    /// To the same path at another host.
    Redirect(usize),
    /// To the same URL.
    Circle,
    /// The response to a range has another entity tag.
    OtherTag,
    /// A range request is answered with the whole file.
    NoRanges,
    /// From now on, the file has other bytes.
    Change,
    /// From now on, the file has other bytes, and a range request gets a range of these whatever
    /// its `If-Range` says.
    ChangeInRange,
    /// All connections of the host are reset, and new ones are refused for these seconds.
    Restart(u32),
    /// Bytes that are not HTTP.
    Garbage,
    /// A digest of other bytes stands in the head.
    OtherDigest,
}

/// A step of an origin on a connection.
#[derive(Debug)]
pub(super) enum Act {
    Wait(Duration),
    Send(Vec<u8>),
    /// Ends the connection.
    Close,
    /// Sends nothing any more.
    Hang,
    /// Restarts the host, which is down for this time.
    Restart(Duration),
}

impl Fault {
    /// A random fault, in a world with that many hosts.
    pub(super) fn draw(rng: &mut fastrand::Rng, hosts: usize) -> Self {
        let statuses = [500, 502, 503, 503, 429, 429, 408, 403, 401, 404, 410, 509, 525];
        match rng.u32(0..22) {
            0 => Self::Silence,
            1 => Self::Close,
            2 => Self::CutHead,
            3 | 4 => Self::CutBody,
            5 => Self::Stall,
            6 => Self::Drip,
            7 => Self::CloseAfter,
            8 | 9 => Self::Status(statuses[rng.usize(0..statuses.len())]),
            10 => Self::RetryAfter([429, 503, 403, 202][rng.usize(0..4)], rng.u32(0..60)),
            11 => Self::Redirect(rng.usize(0..hosts)),
            12 => Self::Circle,
            13 => Self::OtherTag,
            14 => Self::NoRanges,
            15 => Self::Change,
            16 | 17 => Self::ChangeInRange,
            18 => Self::Restart(rng.u32(0..20)),
            19 => Self::CutUnframed,
            20 => Self::OtherDigest,
            _ => Self::Garbage,
        }
    }

    /// A random fault after which the same request is answered, within a pause of at most
    /// `most_pause` seconds.
    pub(super) fn draw_passing(rng: &mut fastrand::Rng, most_pause: u32) -> Self {
        let statuses = [500, 502, 503, 504, 429, 408, 509, 525];
        match rng.u32(0..16) {
            0 => Self::Close,
            1 => Self::CutHead,
            2 | 3 => Self::CutBody,
            4 => Self::Stall,
            5 => Self::Drip,
            6 => Self::CloseAfter,
            7..10 => Self::Status(statuses[rng.usize(..statuses.len())]),
            10 => Self::RetryAfter([429, 503, 403, 202][rng.usize(..4)], rng.u32(0..=most_pause)),
            11 => Self::OtherTag,
            12 => Self::NoRanges,
            13 => Self::CutUnframed,
            14 => Self::OtherDigest,
            _ => Self::Garbage,
        }
    }

    /// A random fault of a file that is broken for good.
    pub(super) fn draw_lasting(rng: &mut fastrand::Rng) -> Self {
        match rng.u32(0..8) {
            0 => Self::Close,
            1 => Self::CutHead,
            2 => Self::CutBody,
            3 => Self::Stall,
            4 => Self::Garbage,
            _ => Self::Status([500, 502, 503, 403, 404][rng.usize(..5)]),
        }
    }

    /// Whether the file has other bytes from now on.
    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Change | Self::ChangeInRange)
    }

    /// The steps that answer a request for these bytes under this tag. `silence` is the longest
    /// silence that the client accepts; this is the `nth` request for the path at this host.
    pub(super) fn acts(
        self,
        request: &Request,
        bytes: &[u8],
        tag: &str,
        silence: Duration,
        nth: u32,
    ) -> Vec<Act> {
        let good = response(request, bytes, tag);
        let head = good.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
        let middle = head + (good.len() - head) / 2;
        let send = |text: String| vec![Act::Send(text.into_bytes())];
        let empty = "Content-Length: 0\r\n\r\n";
        match self {
            Self::None | Self::Change => vec![Act::Send(good)],
            Self::ChangeInRange => {
                let request = request.without_condition();
                vec![Act::Send(response(&request, bytes, tag))]
            }
            Self::Silence => vec![Act::Hang],
            Self::Close => vec![Act::Close],
            Self::CutHead => vec![Act::Send(good[..head / 2].to_vec()), Act::Close],
            Self::CutBody => vec![Act::Send(good[..middle].to_vec()), Act::Close],
            Self::CutUnframed if request.is_plain() && FEW < bytes.len() => {
                let left = bytes.len() - 1 - nth as usize % FEW;
                vec![Act::Send(unframed(&bytes[..left], tag)), Act::Close]
            }
            Self::CutUnframed => Self::CutBody.acts(request, bytes, tag, silence, nth),
            // A response without a body would be complete.
            Self::Stall if head == good.len() => vec![Act::Hang],
            Self::Stall => vec![Act::Send(good[..middle].to_vec()), Act::Hang],
            Self::StallAfter(most) if head + most < good.len() => {
                vec![Act::Send(good[..head + most].to_vec()), Act::Hang]
            }
            Self::StallAfter(_) => vec![Act::Send(good)],
            Self::Drip => {
                let piece = (good.len() / 6).max(1);
                let pause = || Act::Wait(silence.mul_f64(0.9));
                good.chunks(piece).flat_map(|piece| [Act::Send(piece.to_vec()), pause()]).collect()
            }
            Self::CloseAfter => vec![Act::Send(good), Act::Close],
            Self::Status(status) => send(format!("HTTP/1.1 {status} Fault\r\n{empty}")),
            Self::RetryAfter(status, seconds) => {
                send(format!("HTTP/1.1 {status} Fault\r\nRetry-After: {seconds}\r\n{empty}"))
            }
            Self::Redirect(host) => {
                let to = format!("http://h{host}.test{}", request.path);
                send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n{empty}"))
            }
            Self::Circle => {
                let to = &request.path;
                send(format!("HTTP/1.1 307 Moved\r\nLocation: {to}\r\n{empty}"))
            }
            Self::OtherDigest => {
                let (head, body) = split(good);
                let digest = format!("Repr-Digest: sha-256=:{}=:", "A".repeat(43));
                let head =
                    format!("{}{digest}\r\n\r\n", head.strip_suffix("\r\n").unwrap_or(&head));
                vec![Act::Send(head.into_bytes()), Act::Send(body)]
            }
            Self::OtherTag => vec![Act::Send(response(request, bytes, "\"other\""))],
            Self::NoRanges => vec![Act::Send(whole(request, bytes, tag))],
            Self::Restart(seconds) => vec![Act::Restart(Duration::from_secs(seconds.into()))],
            Self::Garbage => {
                vec![Act::Send(b"\x00\x01 what is this?\r\n\r\n".to_vec()), Act::Close]
            }
        }
    }
}
