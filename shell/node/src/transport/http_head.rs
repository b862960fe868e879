//! Reads the head of an HTTP message ([`Head`]) from a connection. Whoever goes on before it was answered does not speak
//! `CONNECT`.

use std::io;

use starling_wire::http_head::{END, HEAD_MAX, Head};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads one, and nothing behind it.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Head> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(END) {
        let mut chunk = [0; 1024];
        let room = chunk.len().min(HEAD_MAX - bytes.len());
        // No room is read as the end.
        match from.read(&mut chunk[..room]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => bytes.extend_from_slice(&chunk[..length]),
        }
    }
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "no head of an HTTP message");
    Head::read(&bytes).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_is_bounded_and_nothing_stands_behind_it() {
        let whole = "HTTP/1.1 200 OK\r\n\r\n";
        let head = read(&mut whole.as_bytes()).await.unwrap();
        assert_eq!(head.status(), Some(200));
        for bad in ["HTTP/1.1 200 OK\r\n", "A\r\n\r\nB\r\n\r\n", "A\r\n\r\nB"] {
            assert!(read(&mut bad.as_bytes()).await.is_err(), "{bad}");
        }
        let long = "x".repeat(HEAD_MAX + 1);
        assert!(read(&mut long.as_bytes()).await.is_err());
    }
}
