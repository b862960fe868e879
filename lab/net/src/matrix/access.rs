//! What stands between a machine and the public network, as rules of nftables on its router. Linux masquerading keeps a
//! source port where it can: one mapping for all destinations. Its filter, connection tracking, is address and port-dependent.

use std::fmt;
use std::net::Ipv4Addr;

use crate::nat::{OPEN_TCP_PORTS, PROXY_PORT};

/// A kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A public address.
    Open,
    /// One mapping for all, and everybody may answer it.
    FullCone,
    /// One mapping for all; only who was written to may answer.
    Home,
    /// A mapping at a random port for each destination.
    Symmetric,
    /// A home router behind a carrier's, which is of the same kind.
    Cgnat,
    /// A home router that lets TCP to ports 80, 443 and 27474 out, and nothing else.
    UdpBlocked,
    /// Nothing gets out but TCP to a proxy.
    ProxyOnly,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::FullCone,
        Self::Home,
        Self::Symmetric,
        Self::Cgnat,
        Self::UdpBlocked,
        Self::ProxyOnly,
    ];

    /// Where it can be part of a name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::FullCone => "full cone",
            Self::Home => "home",
            Self::Symmetric => "symmetric",
            Self::Cgnat => "CGNAT + home",
            Self::UdpBlocked => "UDP blocked",
            Self::ProxyOnly => "proxy only",
        }
    }

    /// Rules of the router next to the machine; `public` is its outer address, `proxy` the only host that is let out to
    /// where there is a proxy. None for a machine without a router.
    pub(super) fn rules(self, outer: &str, public: Ipv4Addr, proxy: Ipv4Addr) -> Option<String> {
        let [one, two, three] = OPEN_TCP_PORTS;
        let only_tcp = format!("tcp dport {{ {one}, {two}, {three} }} accept");
        let only_proxy = format!("ip daddr {proxy} tcp dport {PROXY_PORT} accept");
        match self {
            Self::Open => None,
            Self::FullCone => Some(full_cone(outer, public)),
            Self::Home | Self::Cgnat => Some(masquerading(outer, "masquerade", "accept")),
            Self::Symmetric => {
                let random = "masquerade random,fully-random";
                Some(masquerading(outer, random, "accept"))
            }
            Self::UdpBlocked => Some(masquerading(outer, "masquerade", &only_tcp)),
            Self::ProxyOnly => Some(masquerading(outer, "masquerade", &only_proxy)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A router that lets in only answers. `source` says how it masquerades, `out` what gets out; whatever it does not accept is dropped without a word.
/// What comes unasked to the router itself is dropped as well: an entry in its table would take the port of a mapping.
pub fn masquerading(outer: &str, source: &str, out: &str) -> String {
    format!(
        "table ip lab {{\n\
         chain source {{ type nat hook postrouting priority srcnat\n oifname \"{outer}\" {source}\n }}\n\
         chain through {{ type filter hook forward priority filter; policy drop\n\
         ct state established,related accept\n oifname \"{outer}\" {out}\n }}\n\
         chain own {{ type filter hook input priority filter\n iifname \"{outer}\" ct state new drop\n }}\n}}\n"
    )
}

/// A router that remembers who uses a port, and passes on to them whatever comes to it, from whomever.
fn full_cone(outer: &str, public: Ipv4Addr) -> String {
    format!(
        "table ip lab {{\n\
         map users {{ type inet_service : ipv4_addr . inet_service\n flags dynamic,timeout\n timeout 300s\n size 65536\n }}\n\
         chain destination {{ type nat hook prerouting priority dstnat\n\
         iifname \"{outer}\" meta l4proto udp dnat to udp dport map @users\n }}\n\
         chain source {{ type nat hook postrouting priority srcnat\n\
         oifname \"{outer}\" meta l4proto udp update @users {{ udp sport timeout 300s : ip saddr . udp sport }}\n\
         oifname \"{outer}\" snat to {public}\n }}\n\
         chain own {{ type filter hook input priority filter\n iifname \"{outer}\" ct state new drop\n }}\n}}\n"
    )
}
