//! What a node is started with. Everything else it finds in its profile.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use starling_control::{Failure, view};

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
    /// Download folder; `Downloads` of the profile if absent.
    pub downloads: Option<PathBuf>,
    /// Leads into the window, when this process can show one.
    pub window: Option<WindowHook>,
    /// The program to start as the sound-test node; absent in the sound-test node itself.
    pub echo_program: Option<PathBuf>,
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
            downloads: None,
            window: None,
            echo_program: None,
        }
    }

    /// Where address discovery listens.
    pub fn discovery(&self) -> SocketAddr {
        let port = if self.listen.port() == 0 {
            0
        } else {
            DISCOVERY_PORT
        };
        SocketAddr::new(self.listen.ip(), port)
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
