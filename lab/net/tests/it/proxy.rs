//! Networks that let little out: a proxy only, a proxy that opens TLS, web ports only, IPv6 only. Contact, chat and call
//! go on there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use patchbay::{IpSupport, Lab, RouterPreset};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use starling_control::{Command, view};
use starling_lab_net::nat::PROXY_PORT;
use starling_lab_net::story::{self, Cast};
use starling_lab_net::{Access, Actor, Host, Namespace, NatLab, Place, Seat};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::LabTest;
use crate::node::set_with;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("nat_proxy_only_x_home", proxy_only_x_home),
    ("nat_inspecting_proxy_x_home", inspecting_proxy_x_home),
    ("nat_web_only_x_home", web_only_x_home),
    ("nat_ipv6_only_x_ipv6_only", ipv6_only_x_ipv6_only),
    ("proxies_that_cannot_be_used_are_named", unusable_are_named),
];

const PATIENCE: Duration = Duration::from_secs(15);
/// `anna:secret`, as the header has it.
const LOGIN: &str = "Basic YW5uYTpzZWNyZXQ=";

/// A small HTTP proxy on a host; ends when dropped.
struct Proxy {
    _runtime: Runtime,
}

#[derive(Clone)]
enum Manner {
    /// Tunnels, for whoever has the password.
    Honest,
    /// Opens the TLS within, with certificates of its own.
    Inspecting(Arc<Authority>),
    /// Asks for something that nobody here speaks.
    Ntlm,
}

/// Makes a certificate for whatever address.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    fn acceptor(&self, ip: IpAddr) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![ip.to_string()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Proxy {
    fn start(host: &Host, manner: Manner) -> Self {
        let at = SocketAddr::from((host.ip(), PROXY_PORT));
        let runtime = host
            .run(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let listener = runtime.block_on(TcpListener::bind(at)).unwrap();
                runtime.spawn(listen(listener, manner));
                runtime
            })
            .unwrap();
        Self { _runtime: runtime }
    }
}

async fn listen(listener: TcpListener, manner: Manner) {
    while let Ok((client, _)) = listener.accept().await {
        let manner = manner.clone();
        tokio::spawn(async move {
            // A client that gives up is no failure of the proxy.
            let _ = tunnel(client, manner).await;
        });
    }
}

async fn tunnel(mut client: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if matches!(manner, Manner::Ntlm) {
        let answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(answer).await;
    }
    if !head.contains(LOGIN) {
        let answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(answer).await;
    }
    let target: SocketAddr = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    if let Manner::Inspecting(authority) = manner {
        let mut opened = authority.acceptor(target.ip()).accept(client).await?;
        let connector = TlsConnector::from(Arc::new(trusting_anybody()));
        let mut server = connector.connect(target.ip().into(), server).await?;
        copy_bidirectional(&mut opened, &mut server).await?;
    } else {
        copy_bidirectional(&mut client, &mut server).await?;
    }
    Ok(())
}

/// Whoever inspects decides whom to believe; this one believes everybody.
#[derive(Debug)]
struct Anybody;

fn trusting_anybody() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth()
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn url(proxy: &Host, login: &str) -> String {
    format!("http://{login}{}:{PROXY_PORT}", proxy.ip())
}

fn warnings(person: &Actor) -> Vec<String> {
    let status: view::Status = person.ask(Command::Status {}).unwrap();
    status.warnings
}

fn inspected(person: &Actor) -> bool {
    let words = "opens the outer layer";
    warnings(person)
        .iter()
        .any(|warning| warning.contains(words))
}

fn proxy_only_x_home() {
    let lab = NatLab::build(Access::ProxyOnly, Access::Home).unwrap();
    let _proxy = Proxy::start(lab.host("witness"), Manner::Honest);
    let proxy = url(lab.host("witness"), "anna:secret@");
    let scene = set_with(lab, &[], &[("HTTPS_PROXY", &proxy)]);
    scene.call("relay");
    assert!(!inspected(&scene.cast.alice));
    scene.end();
}

fn inspecting_proxy_x_home() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("authority.pem");
    std::fs::write(&root, &authority.root).unwrap();
    let root = root.display().to_string();
    let lab = NatLab::build(Access::ProxyOnly, Access::Home).unwrap();
    let manner = Manner::Inspecting(Arc::new(authority));
    let _proxy = Proxy::start(lab.host("witness"), manner);
    let proxy = url(lab.host("witness"), "anna:secret@");
    let told = [("https_proxy", proxy.as_str()), ("SSL_CERT_FILE", &root)];
    let scene = set_with(lab, &[], &told);
    scene.call("relay");
    assert!(inspected(&scene.cast.alice), "INSPECT-02: she is told");
    assert!(!inspected(&scene.cast.bob));
    // Where nobody vouches for the proxy, it is an impostor.
    let seat = Seat::on(scene.lab.host("neighbour")).with(&told[..1]);
    let mallet = try_to_join(folder.path(), seat, &scene.cast);
    let status: view::Status = mallet.ask(Command::Status {}).unwrap();
    assert!(status.supernode.is_none_or(|home| !home.connected));
    mallet.stop().unwrap();
    scene.end();
}

/// Somebody who joins and gets three seconds to be registered.
fn try_to_join(folder: &Path, seat: Seat<'_>, cast: &Cast) -> Actor {
    let person = Actor::start("Nell", &folder.join("nell"), seat, false, PATIENCE).unwrap();
    let source = cast.network.clone();
    person
        .ask::<view::Network>(Command::NetworkJoin { source })
        .unwrap();
    let name = "Nell".to_owned();
    person
        .ask::<view::Account>(Command::AccountCreate { name })
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    person
}

/// The supernode's own port is closed to Alice; 443 and 80 are not.
fn web_only_x_home() {
    for (also, name) in [("443", "443"), ("80", "80")] {
        let lab = NatLab::build(Access::WebOnly, Access::Home).unwrap();
        let folder = story::temporary_folder().unwrap();
        let [public, a, b] = ["supernode", "alice", "bob"].map(|name| Seat::on(lab.host(name)));
        let arguments = ["--also-listen", also];
        let public = public.given(&arguments);
        let begin = Instant::now();
        let cast = Cast::assemble(folder.path(), public, a, b, PATIENCE).unwrap();
        eprintln!("port {name}: all registered after {:?}", begin.elapsed());
        story::befriend(&cast.bob, &cast.alice).unwrap();
        story::chat(&cast.alice, &cast.bob, "By the web's port.").unwrap();
        cast.dismiss().unwrap();
    }
}

fn unusable_are_named() {
    let lab = NatLab::build(Access::ProxyOnly, Access::Home).unwrap();
    let _proxy = Proxy::start(lab.host("witness"), Manner::Ntlm);
    let folder = story::temporary_folder().unwrap();
    let public = Seat::on(lab.host("supernode"));
    let (supernode, network) = story::found_network(folder.path(), public, PATIENCE).unwrap();
    let ntlm = url(lab.host("witness"), "");
    for (number, proxy, words) in [
        (0, "socks5://192.0.2.1:1080", "\"socks5\" is not supported"),
        (1, "http://192.0.2.1/proxy.pac", "(PAC) are not supported"),
        (2, &ntlm, "asks for NTLM authentication"),
    ] {
        let told = [("HTTPS_PROXY", proxy)];
        let seat = Seat::on(lab.host("alice")).with(&told);
        let home = folder.path().join(number.to_string());
        let alice = Actor::start("Alice", &home, seat, false, PATIENCE).unwrap();
        let source = network.clone();
        alice
            .ask::<view::Network>(Command::NetworkJoin { source })
            .unwrap();
        let name = "Alice".to_owned();
        alice
            .ask::<view::Account>(Command::AccountCreate { name })
            .unwrap();
        let begin = Instant::now();
        while !warnings(&alice).iter().any(|line| line.contains(words)) {
            assert!(begin.elapsed() < PATIENCE, "{:?}", warnings(&alice));
            std::thread::sleep(Duration::from_millis(20));
        }
        alice.stop().unwrap();
    }
    supernode.stop().unwrap();
}

/// Nobody has an IPv4 address.
fn ipv6_only_x_ipv6_only() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_lab, hosts) = runtime.block_on(async {
        let lab = Lab::builder().allow_real_root().build().await.unwrap();
        let mut hosts = Vec::new();
        for name in ["supernode", "alice", "bob"] {
            let router = lab
                .add_router(&format!("router-of-{name}"))
                .preset(RouterPreset::Public)
                .ip_support(IpSupport::V6Only);
            let router = router.build().await.unwrap();
            let device = lab.add_device(name).uplink(router.id());
            let device = device.build().await.unwrap();
            let address = device.ip6().unwrap();
            let namespace = device
                .run_sync(|| Ok(Namespace::of_this_thread()?))
                .unwrap();
            hosts.push((namespace, address));
        }
        (lab, hosts)
    });
    let seat = |number: usize| {
        let (namespace, address): &(Namespace, Ipv6Addr) = &hosts[number];
        Seat {
            place: Place::Inside(namespace),
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, starling_lab_net::actor::PORT)),
            address: IpAddr::V6(*address),
            variables: &[],
            arguments: &[],
        }
    };
    let folder = story::temporary_folder().unwrap();
    let cast = Cast::assemble(folder.path(), seat(0), seat(1), seat(2), PATIENCE).unwrap();
    story::befriend(&cast.bob, &cast.alice).unwrap();
    story::chat(&cast.alice, &cast.bob, "Six is enough.").unwrap();
    let file = folder.path().join("file.bin");
    story::write_noise(&file, 1_000_000, 1).unwrap();
    story::send_file(&cast.alice, &cast.bob, &file).unwrap();
    cast.dismiss().unwrap();
}
