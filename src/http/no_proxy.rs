//! `NO_PROXY`: the hosts that are reached without a proxy.

use std::net::{IpAddr, Ipv6Addr};

use super::origin::Origin;

/// The entries of the list. Malformed entries are ignored, as other programs do.
#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Exempt>);

#[derive(Clone, Debug)]
struct Exempt {
    what: What,
    /// Only this port.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum What {
    Everything,
    /// The name and all of its subdomains, in lower case.
    Name(String),
    /// Addresses that share this number of leading bits.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Reads a list whose entries are separated by commas or spaces.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Exempt::parse).collect())
    }

    /// Whether an origin is on the list. Names are compared as text and not resolved.
    pub(super) fn exempts(&self, origin: &Origin) -> bool {
        let host = origin.bare_host();
        let address: Option<IpAddr> = host.parse().ok();
        let name = host.trim_end_matches('.');
        self.0.iter().filter(|entry| entry.port.is_none_or(|port| port == origin.port)).any(
            |entry| match &entry.what {
                What::Everything => true,
                What::Name(suffix) => address.is_none() && is_below(name, suffix),
                What::Network(network, bits) => {
                    address.is_some_and(|address| shares(address, *network, *bits))
                }
            },
        )
    }
}

impl Exempt {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self { what: What::Everything, port: None });
        }
        if let Some(what) = network(entry) {
            return Some(Self { what, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Some(what) = network(host) {
            return Some(Self { what, port });
        }
        let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.').to_ascii_lowercase();
        if name.is_empty() || name.contains(['/', ':', '[', ']', '*']) {
            return None;
        }
        Some(Self { what: What::Name(name), port })
    }
}

/// An address, perhaps in brackets or with a prefix length.
fn network(text: &str) -> Option<What> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => IpAddr::V6(bare.parse::<Ipv6Addr>().ok()?),
        None => address.parse().ok()?,
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(What::Network(address, bits))
}

fn is_below(name: &str, suffix: &str) -> bool {
    let Some(start) = name.len().checked_sub(suffix.len()) else {
        return false;
    };
    name.is_char_boundary(start)
        && name[start..].eq_ignore_ascii_case(suffix)
        && (start == 0 || name[..start].ends_with('.'))
}

fn shares(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (one, other) = match (address.to_canonical(), network) {
        // Left-aligned, so that the prefix has the same position for both kinds.
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(one.to_bits()) << 96, u128::from(other.to_bits()) << 96)
        }
        (_, IpAddr::V6(other)) => match address {
            IpAddr::V6(one) => (one.to_bits(), other.to_bits()),
            IpAddr::V4(_) => return false,
        },
        _ => return false,
    };
    bits == 0 || (one ^ other) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::super::origin::Target;
    use super::*;

    #[track_caller]
    fn check(list: &str, exempt: &[&str], proxied: &[&str]) {
        let list = NoProxy::parse(list);
        for (urls, expected) in [(exempt, true), (proxied, false)] {
            for url in urls {
                let origin = Target::parse(url).unwrap().origin;
                assert_eq!(list.exempts(&origin), expected, "{list:?}: {url}");
            }
        }
    }

    #[test]
    fn a_name_covers_its_subdomains() {
        let below = ["http://b.example/", "https://a.B.example:8443/", "http://b.example./"];
        let others = ["http://ab.example/", "http://example/", "http://b.example.org/"];
        for list in ["b.example", ".b.example", "*.b.example", "B.EXAMPLE.", " , b.example ,"] {
            check(list, &below, &others);
        }
        check("x, b.example c", &["http://b.example/", "http://c/", "http://x/"], &others);
        check("", &[], &["http://h/", "http://127.0.0.1/", "http://localhost/"]);
    }

    #[test]
    fn ports() {
        check("h:8080", &["http://h:8080/", "https://a.h:8080/"], &["http://h/", "http://h:80/"]);
        check("h:443", &["https://h/"], &["http://h/"]);
        check("127.0.0.1:81", &["http://127.0.0.1:81/"], &["http://127.0.0.1/"]);
        check("[::1]:81", &["http://[::1]:81/"], &["http://[::1]/"]);
        check("h:x, h:99999", &[], &["http://h/"]);
    }

    #[test]
    fn everything() {
        let all = ["http://h/", "http://127.0.0.1/", "https://[::1]:8/"];
        check("*", &all, &[]);
        check("x,*", &all, &[]);
    }

    #[test]
    fn addresses_and_networks() {
        check("127.0.0.1", &["http://127.0.0.1:8/"], &["http://127.0.0.2/", "http://localhost/"]);
        check("10.1.2.3/8", &["http://10.200.0.1/"], &["http://11.0.0.1/", "http://[a::]/"]);
        check("10.0.0.0/31", &["http://10.0.0.1/"], &["http://10.0.0.2/"]);
        check("0.0.0.0/0", &["http://1.2.3.4/"], &["http://[::1]/", "http://h/"]);
        for list in ["::1", "[::1]", "[::1]/128"] {
            check(list, &["http://[::1]/", "http://[0:0::1]:8/"], &["http://[::2]/"]);
        }
        check("fd00::/8", &["http://[fdff::1]/"], &["http://[fe00::1]/", "http://253.0.0.1/"]);
        check("10.0.0.1", &["http://[::ffff:10.0.0.1]/"], &[]);
        check("10.0.0.1/33, 1.2.3.4/x, [1.2.3.4], ::1/129", &[], &["http://10.0.0.1/"]);
        // A name that begins like an address is a name.
        check("1.2.3.4", &["http://1.2.3.4/"], &["http://a.1.2.3.example/"]);
    }
}
