//! The organisation's policy: a TOML file of the machine's administrator. It only restricts: what it does not name stays
//! the user's own choice. Strict: a key that this version does not know is an error, not a wish that is ignored.
//!
//! Rates are kbit/s (1,000 bit), volumes GB (10^9 bytes) a month.

use serde::Deserialize;

/// The largest policy file.
pub const POLICY_MAX: usize = 64 * 1024;
const FORMAT: u32 = 1;

/// Whether a machine may take a role for others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It must not.
    Never,
    /// The user decides.
    #[default]
    Allowed,
}

/// Which supernodes a machine may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Those of its network, those it has met, those of its local network.
    #[default]
    Any,
    /// Those of the network file only.
    Listed,
}

/// What the machine's administrator decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Version of the file's form.
    format: u32,
    /// What the machine may do for others.
    #[serde(default)]
    pub roles: Roles,
    /// How much of it.
    #[serde(default)]
    pub caps: Caps,
    /// How it reaches others.
    #[serde(default)]
    pub network: NetworkRules,
}

/// What a machine may do for others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Carry index, presence and rendezvous.
    #[serde(default)]
    pub supernode: Permission,
    /// Carry packets.
    #[serde(default)]
    pub relay: Permission,
    /// Keep envelopes.
    #[serde(default)]
    pub mailbox: Permission,
}

/// Upper bounds. Absent: the user's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// For others, all roles together.
    pub total_kbit_s: Option<u32>,
    /// As a supernode.
    pub supernode_kbit_s: Option<u32>,
    /// As a relay.
    pub relay_kbit_s: Option<u32>,
    /// As a mailbox holder.
    pub mailbox_kbit_s: Option<u32>,
    /// For others, all roles together, in a calendar month.
    pub monthly_gb: Option<u32>,
    /// Clients at once.
    pub clients: Option<u32>,
}

/// How a machine reaches others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRules {
    /// `false`: nothing but TCP.
    pub udp: Option<bool>,
    /// The TCP port it listens on, where it listens.
    pub tcp_port: Option<u16>,
    /// The UDP port of calls and files.
    pub udp_port: Option<u16>,
    /// The UDP port of address discovery, where it serves that.
    pub discovery_port: Option<u16>,
    /// Whether it looks for contacts on the local network.
    pub lan_discovery: Option<bool>,
    /// Which supernodes it uses.
    #[serde(default)]
    pub supernodes: Trust,
    /// The HTTP proxy to go through, as `http://[user:password@]host:port`.
    pub proxy: Option<String>,
}

/// Why a policy file was refused. A node that cannot read its policy does not start: it must not do what it forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML of this shape.
    #[error("the policy file cannot be read: {0}")]
    Malformed(String),
    /// A newer form.
    #[error("the policy file has format {0}; this version of Starling knows format {FORMAT}")]
    Format(u32),
    /// A value that means nothing.
    #[error("the policy file's {key} is {problem}")]
    Value {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Policy {
    /// Reads a policy file (`POLICY-01` to `POLICY-03`).
    pub fn read(text: &str) -> Result<Self, PolicyError> {
        // POLICY-01: bounds and shape; every key is known.
        if text.len() > POLICY_MAX {
            return Err(PolicyError::Malformed(format!(
                "it is larger than {POLICY_MAX} bytes"
            )));
        }
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        // POLICY-02: a form we know.
        if policy.format != FORMAT {
            return Err(PolicyError::Format(policy.format));
        }
        // POLICY-03: values that mean something.
        policy.network.check()?;
        Ok(policy)
    }
}

impl NetworkRules {
    fn check(&self) -> Result<(), PolicyError> {
        for (key, port) in [
            ("network.tcp_port", self.tcp_port),
            ("network.udp_port", self.udp_port),
            ("network.discovery_port", self.discovery_port),
        ] {
            if port == Some(0) {
                let problem = "0, which is no port";
                return Err(PolicyError::Value { key, problem });
            }
        }
        match &self.proxy {
            Some(proxy) if !is_proxy(proxy) => Err(PolicyError::Value {
                key: "network.proxy",
                problem: "no http://[user:password@]host:port",
            }),
            _ => Ok(()),
        }
    }
}

fn is_proxy(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else {
        return false;
    };
    let rest = rest.trim_end_matches('/');
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let Some((host, port)) = place.rsplit_once(':') else {
        return false;
    };
    !host.is_empty()
        && !host.contains(['/', ' ', '?', '#'])
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_policy_leaves_everything_to_the_user() {
        let policy = Policy::read("format = 1").unwrap();
        assert_eq!(policy.roles.supernode, Permission::Allowed);
        assert_eq!(policy.caps, Caps::default());
        assert_eq!(policy.network.udp, None);
        assert_eq!(policy.network.supernodes, Trust::Any);
    }

    #[test]
    fn every_key_is_read() {
        let policy = Policy::read(
            r#"
            format = 1
            [roles]
            supernode = "never"
            relay = "never"
            mailbox = "allowed"
            [caps]
            total_kbit_s = 1000
            supernode_kbit_s = 200
            relay_kbit_s = 800
            mailbox_kbit_s = 100
            monthly_gb = 20
            clients = 50
            [network]
            udp = false
            tcp_port = 443
            udp_port = 27474
            discovery_port = 27476
            lan_discovery = false
            supernodes = "listed"
            proxy = "http://anna:secret@proxy.example:3128"
            "#,
        )
        .unwrap();
        assert_eq!(policy.roles.relay, Permission::Never);
        assert_eq!(policy.roles.mailbox, Permission::Allowed);
        assert_eq!(policy.caps.monthly_gb, Some(20));
        assert_eq!(policy.network.tcp_port, Some(443));
        assert_eq!(policy.network.supernodes, Trust::Listed);
        assert_eq!(policy.network.udp, Some(false));
    }

    #[test]
    fn policy_01_an_unknown_key_is_an_error_not_a_wish() {
        for text in [
            "format = 1\nfast = true",
            "format = 1\n[roles]\nsupernodes = \"never\"",
            "format = 1\n[caps]\nrelay_kbit = 5",
            "format = 1\n[roles]\nrelay = \"sometimes\"",
            "format = 1\n[caps]\nclients = -1",
            "",
            "not toml",
        ] {
            let refused = Policy::read(text).unwrap_err();
            assert!(matches!(refused, PolicyError::Malformed(_)), "{text}");
        }
        let long = format!("format = 1\n#{}", "x".repeat(POLICY_MAX));
        assert!(Policy::read(&long).is_err());
    }

    #[test]
    fn policy_02_a_newer_form_is_not_guessed_at() {
        assert_eq!(Policy::read("format = 2"), Err(PolicyError::Format(2)));
    }

    #[test]
    fn policy_03_values_that_mean_nothing_are_refused() {
        for proxy in [
            "proxy.example:3128",
            "https://proxy.example:3128",
            "socks5://proxy.example:1080",
            "http://proxy.example",
            "http://:3128",
            "http://proxy.example:0",
            "http://a/b:80",
        ] {
            let text = format!("format = 1\n[network]\nproxy = \"{proxy}\"");
            let refused = Policy::read(&text);
            assert!(matches!(refused, Err(PolicyError::Value { .. })), "{proxy}");
        }
        assert!(Policy::read("format = 1\n[network]\ntcp_port = 0").is_err());
        assert!(Policy::read("format = 1\n[network]\nproxy = \"http://[::1]:8080/\"").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}") {
            let _ = Policy::read(&text);
        }
    }
}
