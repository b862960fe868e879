//! What a node is started with. Everything else it finds in its profile.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use starling_control::{Failure, view};
use starling_wire::policy::Policy;

use crate::drivers::promotion::Pace;
use crate::roles::machine_policy::{self, MACHINE_POLICY, PolicyFileError};

use crate::transport::proxy::ProxySetting;

/// Default port of the inner endpoint (UDP) and of the relay (TCP).
pub const PORT: u16 = 27474;
/// Default UDP port of address discovery.
pub const DISCOVERY_PORT: u16 = 27476;

/// How a node runs.
#[derive(Clone)]
pub struct NodeConfig {
    /// The profile's folder.
    pub home: PathBuf,
    /// Serve as a supernode for the joined network (the answer to the first-run question, given on the command line).
    pub supernode: bool,
    /// Address and port of the relay (TCP) and the inner endpoint (UDP); port 0 takes free ones for both and for discovery.
    pub listen: SocketAddr,
    /// Further TCP ports of a supernode's relay, such as 443 and 80.
    pub also_listen: Vec<u16>,
    /// The proxy of the firm or the school.
    pub proxy: ProxySetting,
    /// Announce and look for contacts on the LAN.
    pub lan_discovery: bool,
    /// Play the tones of calls, unless the person switched them off.
    pub tones: bool,
    /// Download folder; `Downloads` of the profile if absent.
    pub downloads: Option<PathBuf>,
    /// Leads into the window, when this process can show one.
    pub window: Option<WindowHook>,
    /// The program to start as the sound-test node; absent in the sound-test node itself.
    pub echo_program: Option<PathBuf>,
    /// A policy file beside the machine's own: what it forbids is forbidden too.
    pub further_policy: Option<PathBuf>,
    /// What is asked of this machine before it becomes a supernode by itself, and how fast that goes.
    pub promotion: Pace,
    /// What the administrator decided, once the node has read it.
    pub(crate) policy: Arc<Policy>,
}

/// Called when somebody asks for the window of this process.
pub type WindowHook = Arc<dyn Fn() -> WindowAnswer + Send + Sync>;
/// A way in, or why there is none.
pub type WindowAnswer = Pin<Box<dyn Future<Output = Result<view::WindowDoor, Failure>> + Send>>;

impl NodeConfig {
    /// The defaults for a profile.
    pub fn new(home: PathBuf) -> Self {
        Self {
            home,
            supernode: false,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT),
            also_listen: Vec::new(),
            proxy: ProxySetting::None,
            lan_discovery: true,
            tones: true,
            downloads: None,
            window: None,
            echo_program: None,
            further_policy: None,
            promotion: Pace::default(),
            policy: Arc::default(),
        }
    }

    /// Reads the machine's policy: from here on it is part of how the node runs.
    pub(crate) fn obey(&mut self) -> Result<(), PolicyFileError> {
        let further = self.further_policy.as_deref();
        self.policy = Arc::new(machine_policy::load(MACHINE_POLICY.as_ref(), further)?);
        if let Some(proxy) = &self.policy.network.proxy {
            self.proxy = ProxySetting::read(proxy, "");
        }
        if self.policy.network.tcp_port.is_some() {
            self.also_listen.clear();
        }
        Ok(())
    }

    /// What the administrator decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Where the relay listens.
    pub fn tcp(&self) -> SocketAddr {
        self.at(self.policy.network.tcp_port, self.listen.port())
    }

    /// Where the inner endpoint is bound; `None`: nothing but TCP.
    pub fn udp(&self) -> Option<SocketAddr> {
        let allowed = self.policy.network.udp != Some(false);
        allowed.then(|| self.at(self.policy.network.udp_port, self.listen.port()))
    }

    /// Where address discovery listens; `None`: nowhere.
    pub fn discovery(&self) -> Option<SocketAddr> {
        let port = if self.listen.port() == 0 {
            0
        } else {
            DISCOVERY_PORT
        };
        self.udp()?;
        Some(self.at(self.policy.network.discovery_port, port))
    }

    fn at(&self, decided: Option<u16>, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen.ip(), decided.unwrap_or(port))
    }

    /// Whether contacts are looked for on the local network.
    pub fn looks_around(&self) -> bool {
        let rules = &self.policy.network;
        self.lan_discovery && rules.lan_discovery != Some(false) && rules.udp != Some(false)
    }

    /// Where finished files go.
    pub fn download_folder(&self) -> PathBuf {
        self.downloads
            .clone()
            .unwrap_or_else(|| self.home.join("Downloads"))
    }
}

impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig")
            .field("supernode", &self.supernode)
            .field("listen", &self.listen)
            .field("lan_discovery", &self.lan_discovery)
            .finish_non_exhaustive()
    }
}
