//! A TCP forwarder in front of a supernode: it can die as a process does, or fall silent as a machine does whose cable
//! was pulled.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Silent,
    Dead,
}

/// Forwards as long as it lives.
pub struct Shim {
    /// Where it listens.
    pub address: SocketAddr,
    target: SocketAddr,
    state: watch::Sender<State>,
    task: JoinSet<()>,
}

impl Shim {
    /// In front of `target`.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((target.ip(), 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (state, seen) = watch::channel(State::Open);
        let mut task = JoinSet::new();
        task.spawn(forward(listener, target, seen));
        Self {
            address,
            target,
            state,
            task,
        }
    }

    /// One that died listens again, at the same address.
    pub async fn come_back(&mut self) {
        while self.task.join_next().await.is_some() {}
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.state.send_replace(State::Open);
        let seen = self.state.subscribe();
        self.task.spawn(forward(listener, self.target, seen));
    }

    /// All connections end and nobody listens any more.
    pub fn die(&self) {
        self.state.send_replace(State::Dead);
    }

    /// Connections stay and nothing passes; new ones are taken and left alone.
    pub fn fall_silent(&self) {
        self.state.send_replace(State::Silent);
    }
}

async fn forward(listener: TcpListener, target: SocketAddr, mut state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        let seen = state.clone();
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                connections.spawn(carry(client, target, seen));
            }
            () = until(&mut state, State::Dead) => return,
        }
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Silent {
        std::future::pending::<()>().await;
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        () = until(&mut state, State::Silent) => std::future::pending::<()>().await,
    }
}

async fn until(state: &mut watch::Receiver<State>, wanted: State) {
    if state.wait_for(|state| *state == wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}
