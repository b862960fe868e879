//! A small HTTP proxy for `CONNECT` (RFC 9110, section 9.3.6), with threads: the only way out of some machines.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::error::LabError;
use crate::host::Host;
use crate::nat::PROXY_PORT;

/// A request's head is shorter.
const HEAD_MAX: usize = 4_096;
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Lets one listen on a host, as long as the process lives; returns what `HTTPS_PROXY` has to say.
pub fn start(host: &Host) -> Result<String, LabError> {
    let at = SocketAddr::from((host.ip(), PROXY_PORT));
    // A thread stays in the namespace of the one that started it.
    host.run(move || {
        let listener = TcpListener::bind(at)?;
        thread::Builder::new()
            .name("lab-proxy".into())
            .spawn(move || accept(&listener))
    })?
    .map_err(|source| LabError::Os {
        what: "cannot start the lab's proxy",
        source,
    })?;
    Ok(format!("http://{at}"))
}

fn accept(listener: &TcpListener) {
    while let Ok((client, _)) = listener.accept() {
        // Who gets no thread is a client whose connection ends.
        let _ = thread::Builder::new()
            .name("lab-proxy".into())
            .spawn(move || tunnel(client));
    }
}

fn tunnel(mut client: TcpStream) -> io::Result<()> {
    let Some(target) = target(&mut client)? else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    };
    let Ok(server) = TcpStream::connect_timeout(&target, CONNECT_TIME) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let back = (server.try_clone()?, client.try_clone()?);
    thread::Builder::new()
        .name("lab-proxy".into())
        .spawn(move || carry(back.0, back.1))?;
    carry(client, server);
    Ok(())
}

/// Whom the head asks for.
fn target(client: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_MAX {
            return Ok(None);
        }
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let asked = head.strip_prefix("CONNECT ");
    Ok(asked.and_then(|rest| rest.split(' ').next()?.parse().ok()))
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // However it ended, the other side is told.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
