//! The organisation's policy: a TOML file of the machine's administrator. It only restricts: what it does not name stays
//! the user's own choice. Strict: a key that this version does not know is an error, not a wish that is ignored.
//!
//! Rates are kbit/s (1,000 bit) in each direction, volumes GB (10^9 bytes) a month, both directions together.

use serde::Deserialize;

use crate::proxy::Proxy;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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
    /// Clients at once from one block of addresses.
    pub clients_per_block: Option<u32>,
    /// Others that one client sends to at once.
    pub circuits_per_client: Option<u32>,
    /// Kept for others in conversations' boxes, in MB.
    pub mailbox_mb: Option<u32>,
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
    #[error("the policy file's {key}, in line {line}, is {problem}")]
    Value {
        /// Which.
        key: &'static str,
        /// Where it stands.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// One thing that the administrator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// As in the file: `roles.relay`.
    pub key: &'static str,
    /// As in the file, without what is secret.
    pub value: String,
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
        policy.network.check(text)?;
        policy.caps.check(text)?;
        Ok(policy)
    }

    /// What both allow: of two decisions the stricter one; where none is stricter, this one's.
    pub fn and(self, other: Self) -> Self {
        Self {
            format: FORMAT,
            roles: Roles {
                supernode: self.roles.supernode.min(other.roles.supernode),
                relay: self.roles.relay.min(other.roles.relay),
                mailbox: self.roles.mailbox.min(other.roles.mailbox),
            },
            caps: self.caps.and(other.caps),
            network: self.network.and(other.network),
        }
    }

    /// Everything that is not left to the user, in the order of the file.
    pub fn decided(&self) -> Vec<Decided> {
        let roles = [
            ("roles.supernode", self.roles.supernode),
            ("roles.relay", self.roles.relay),
            ("roles.mailbox", self.roles.mailbox),
        ];
        let never = roles
            .iter()
            .filter(|(_, permission)| *permission == Permission::Never)
            .map(|(key, _)| Decided::new(key, "never"));
        let caps = self.caps.named().into_iter();
        let caps = caps.filter_map(|(key, cap)| Some(Decided::new(key, cap?)));
        never.chain(caps).chain(self.network.decided()).collect()
    }
}

impl Decided {
    fn new(key: &'static str, value: impl ToString) -> Self {
        Self {
            key,
            value: value.to_string(),
        }
    }
}

impl Caps {
    fn named(&self) -> [(&'static str, Option<u32>); 9] {
        [
            ("caps.total_kbit_s", self.total_kbit_s),
            ("caps.supernode_kbit_s", self.supernode_kbit_s),
            ("caps.relay_kbit_s", self.relay_kbit_s),
            ("caps.mailbox_kbit_s", self.mailbox_kbit_s),
            ("caps.monthly_gb", self.monthly_gb),
            ("caps.clients", self.clients),
            ("caps.clients_per_block", self.clients_per_block),
            ("caps.circuits_per_client", self.circuits_per_client),
            ("caps.mailbox_mb", self.mailbox_mb),
        ]
    }

    /// A rate of nothing is a wish for `never`: with it, links would stand still.
    fn check(&self, text: &str) -> Result<(), PolicyError> {
        for (key, cap) in &self.named()[..4] {
            if *cap == Some(0) {
                let problem = "0; to carry nothing, say \"never\" in [roles]";
                return Err(PolicyError::value(text, key, problem));
            }
        }
        Ok(())
    }

    /// The lower of each.
    pub fn and(self, other: Self) -> Self {
        Self {
            total_kbit_s: lower(self.total_kbit_s, other.total_kbit_s),
            supernode_kbit_s: lower(self.supernode_kbit_s, other.supernode_kbit_s),
            relay_kbit_s: lower(self.relay_kbit_s, other.relay_kbit_s),
            mailbox_kbit_s: lower(self.mailbox_kbit_s, other.mailbox_kbit_s),
            monthly_gb: lower(self.monthly_gb, other.monthly_gb),
            clients: lower(self.clients, other.clients),
            clients_per_block: lower(self.clients_per_block, other.clients_per_block),
            circuits_per_client: lower(self.circuits_per_client, other.circuits_per_client),
            mailbox_mb: lower(self.mailbox_mb, other.mailbox_mb),
        }
    }
}

fn lower(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    [one, other].into_iter().flatten().min()
}

impl PolicyError {
    /// With the line in which the key stands.
    fn value(text: &str, key: &'static str, problem: &'static str) -> Self {
        let name = key.rsplit('.').next().unwrap_or(key);
        let line = text
            .lines()
            .position(|line| line.contains(name))
            .map_or(1, |at| at + 1);
        Self::Value { key, line, problem }
    }
}

impl NetworkRules {
    fn check(&self, text: &str) -> Result<(), PolicyError> {
        for (key, port) in [
            ("network.tcp_port", self.tcp_port),
            ("network.udp_port", self.udp_port),
            ("network.discovery_port", self.discovery_port),
        ] {
            if port == Some(0) {
                return Err(PolicyError::value(text, key, "0, which is no port"));
            }
        }
        match &self.proxy {
            Some(proxy) if proxy.parse::<Proxy>().is_err() => {
                let problem = "no http://[user:password@]host:port";
                Err(PolicyError::value(text, "network.proxy", problem))
            }
            _ => Ok(()),
        }
    }

    /// The proxy to go through.
    pub fn proxy(&self) -> Option<Proxy> {
        self.proxy.as_ref()?.parse().ok()
    }

    fn and(self, other: Self) -> Self {
        let stricter = |one: Option<bool>, other: Option<bool>| match (one, other) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (one, other) => one.or(other),
        };
        Self {
            udp: stricter(self.udp, other.udp),
            tcp_port: self.tcp_port.or(other.tcp_port),
            udp_port: self.udp_port.or(other.udp_port),
            discovery_port: self.discovery_port.or(other.discovery_port),
            lan_discovery: stricter(self.lan_discovery, other.lan_discovery),
            supernodes: self.supernodes.max(other.supernodes),
            proxy: self.proxy.or(other.proxy),
        }
    }

    fn decided(&self) -> Vec<Decided> {
        let flag = |key, value: Option<bool>| Some(Decided::new(key, value?));
        let port = |key, value: Option<u16>| Some(Decided::new(key, value?));
        let listed = self.supernodes == Trust::Listed;
        [
            flag("network.udp", self.udp),
            port("network.tcp_port", self.tcp_port),
            port("network.udp_port", self.udp_port),
            port("network.discovery_port", self.discovery_port),
            flag("network.lan_discovery", self.lan_discovery),
            listed.then(|| Decided::new("network.supernodes", "listed")),
            self.proxy()
                .map(|proxy| Decided::new("network.proxy", proxy)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
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
            clients_per_block = 20
            circuits_per_client = 8
            mailbox_mb = 500
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
        let decided = policy.decided();
        assert_eq!(decided.len(), 18, "every key but the one that allows");
        let shown: Vec<String> = decided
            .iter()
            .map(|one| format!("{} {}", one.key, one.value))
            .collect();
        assert!(shown.contains(&"caps.clients_per_block 20".to_owned()));
        assert!(
            shown.contains(&"network.proxy http://anna@proxy.example:3128".to_owned()),
            "the password is not shown"
        );
    }

    #[test]
    fn of_two_policies_the_stricter_holds() {
        let machine = "format = 1\n[roles]\nrelay = \"never\"\n[caps]\nclients = 9\ntotal_kbit_s = 500\n\
                       [network]\nudp = true\ntcp_port = 443";
        let more = "format = 1\n[roles]\nmailbox = \"never\"\n[caps]\nclients = 5\ntotal_kbit_s = 900\n\
                    [network]\nudp = false\ntcp_port = 80\nsupernodes = \"listed\"";
        let [machine, more] = [machine, more].map(|text| Policy::read(text).unwrap());
        let both = machine.clone().and(more);
        assert_eq!(both.roles.relay, Permission::Never);
        assert_eq!(both.roles.mailbox, Permission::Never);
        assert_eq!(both.roles.supernode, Permission::Allowed);
        assert_eq!(both.caps.clients, Some(5));
        assert_eq!(both.caps.total_kbit_s, Some(500));
        assert_eq!(both.network.udp, Some(false));
        assert_eq!(both.network.tcp_port, Some(443), "the machine's own");
        assert_eq!(both.network.supernodes, Trust::Listed);
        let none = Policy::read("format = 1").unwrap();
        assert_eq!(machine.clone().and(none.clone()), machine);
        assert_eq!(none.and(machine.clone()), machine);
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
        let still = Policy::read("format = 1\n[caps]\n\nrelay_kbit_s = 0").unwrap_err();
        assert!(still.to_string().contains("in line 4"), "{still}");
        assert!(Policy::read("format = 1\n[network]\nproxy = \"http://[::1]:8080/\"").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}") {
            let _ = Policy::read(&text);
        }
    }
}
