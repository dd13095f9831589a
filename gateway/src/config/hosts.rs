//! Hosts that a hook may send requests to.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host as an operator grants it: exact, or `*.` and all names below one. Without a
/// port those of `http` and `https` are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGrant {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Lower case, without a dot at its end.
    Name(String),
    /// All names that end in a dot and this.
    Below(String),
    Address(IpAddr),
}

impl HostGrant {
    /// Read a grant; none if it is no host.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.parse() {
            // Without brackets the colons of an address are its own.
            Ok(address) => (Host::Address(address), None),
            Err(_) => {
                let (host, port) = split_port(text)?;
                (Host::parse(host)?, port)
            }
        };
        Some(Self { host, port })
    }

    /// Whether `host`, as it stands in a URL, may be asked at `port`.
    pub fn admits(&self, host: &str, port: u16) -> bool {
        let is_meant = match self.port {
            Some(granted) => granted == port,
            None => matches!(port, 80 | 443),
        };
        is_meant && self.host.is(host)
    }

    /// Whether it is for the host `name`, at whatever port.
    pub fn names(&self, name: &str) -> bool {
        self.host.is(name)
    }

    /// Whether it is `address`, in so many words.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.host == Host::Address(address.to_canonical())
    }

    /// Its port, if it says one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether all that `other` grants is granted by this, too.
    pub fn covers(&self, other: &Self) -> bool {
        let host = match (&self.host, &other.host) {
            (Host::Below(_), Host::Name(name)) => self.host.is(name),
            (Host::Below(above), Host::Below(name)) => name == above || self.host.is(name),
            (host, other) => host == other,
        };
        let default = |port| matches!(port, Some(80 | 443));
        host && (self.port == other.port || (self.port.is_none() && default(other.port)))
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        match text.strip_prefix("*.") {
            Some(name) => Some(Self::Below(name_of(name)?)),
            None => Some(Self::Name(name_of(text)?)),
        }
    }

    fn is(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match (self, bare.parse::<IpAddr>()) {
            (Self::Address(granted), Ok(address)) => *granted == address.to_canonical(),
            (Self::Address(_), Err(_)) | (_, Ok(_)) => false,
            (Self::Name(name), _) => name_of(host).is_some_and(|host| host == *name),
            (Self::Below(name), _) => name_of(host).is_some_and(|host| {
                let rest = host.strip_suffix(name.as_str());
                rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }),
        }
    }
}

impl fmt::Display for HostGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Below(name) => write!(f, "*.{name}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Address(address) => write!(f, "{address}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Host and port; none if the port is no number.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host, Some(port.parse().ok()?))),
        _ => Some((text, None)),
    }
}

/// A name in lower case. One whose last label begins with a digit is none: it is
/// what some readers take for an address.
fn name_of(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_fit)
    };
    let last = name.rsplit('.').next()?;
    let is_name = name.len() <= 253
        && name.split('.').all(is_label)
        && !last.starts_with(|first: char| first.is_ascii_digit());
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(grant: &str, host: &str, port: u16, expected: bool) {
        let parsed = HostGrant::parse(grant).expect("a host");
        assert_eq!(
            parsed.admits(host, port),
            expected,
            "{grant}: {host}:{port}"
        );
        assert_eq!(
            HostGrant::parse(&parsed.to_string()),
            Some(parsed),
            "{grant}"
        );
    }

    #[test]
    fn hosts_are_exact_or_below() {
        check("api.example.com", "api.example.com", 443, true);
        check("API.example.com.", "api.example.COM", 80, true);
        check("api.example.com", "api.example.com.", 443, true);
        check("api.example.com", "api.example.com", 8443, false);
        check("api.example.com:8443", "api.example.com", 8443, true);
        check("api.example.com:8443", "api.example.com", 443, false);
        check("api.example.com", "xapi.example.com", 443, false);
        check("api.example.com", "api.example.com.evil.net", 443, false);
        check("*.example.com", "a.example.com", 443, true);
        check("*.example.com", "a.b.example.com", 443, true);
        check("*.example.com", "example.com", 443, false);
        check("*.example.com", ".example.com", 443, false);
        check("*.example.com", "evilexample.com", 443, false);
        check("10.0.0.5:8200", "10.0.0.5", 8200, true);
        check("10.0.0.5", "10.0.0.50", 80, false);
        check("[fd00::5]:1", "[fd00:0::5]", 1, true);
        check("fd00::5", "[fd00::5]", 80, true);
        check("127.0.0.1", "[::ffff:127.0.0.1]", 80, true);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a*.com",
            "https://a.com",
            "a.com/x",
            "me@a.com",
            "a b",
            "a..com",
            "127.1",
            "0x7f.0x1",
            "2130706433",
            "a.com:",
            "a.com:99999",
            "[::1",
            "::1]",
            "[1.2.3.4]",
            "a.com:80:80",
        ] {
            assert_eq!(HostGrant::parse(text), None, "{text}");
        }
    }

    #[test]
    fn grants_cover_what_they_hold() {
        let covers = |grant: &str, needed: &str| {
            let parse = |text| HostGrant::parse(text).expect("a host");
            parse(grant).covers(&parse(needed))
        };
        assert!(covers("a.com", "A.com") && covers("*.a.com", "b.a.com"));
        assert!(covers("*.a.com", "*.a.com") && covers("*.a.com", "*.b.a.com"));
        assert!(covers("a.com", "a.com:443") && covers("10.0.0.5:1", "10.0.0.5:1"));
        assert!(!covers("a.com", "a.com:1") && !covers("a.com:1", "a.com"));
        assert!(!covers("b.a.com", "*.a.com") && !covers("*.a.com", "a.com"));
    }
}
