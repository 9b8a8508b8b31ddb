//! Frames of a WebSocket (RFC 6455 §5): text and farewells, both ways, no fragments.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest message that is read.
const MAX_MESSAGE: u64 = 64 << 10;
const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;
/// Clients mask what they send (§5.3); here with the same mask each time, because nothing here is secret.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Which side writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Sends a text.
///
/// # Errors
/// When the connection is gone.
pub(crate) async fn send(io: &mut (impl AsyncWrite + Unpin), side: Side, text: &str) -> io::Result<()> {
    frame(io, side, TEXT, text.as_bytes()).await
}

/// Says farewell, with the code of a normal end.
///
/// # Errors
/// When the connection is gone.
pub(crate) async fn close(io: &mut (impl AsyncWrite + Unpin), side: Side) -> io::Result<()> {
    frame(io, side, CLOSE, &1000_u16.to_be_bytes()).await
}

/// The next text; `None` after the farewell.
///
/// # Errors
/// When the connection is gone, or a message is too long.
pub(crate) async fn receive(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let [first, second] = [io.read_u8().await?, io.read_u8().await?];
    let length = match second & !MASKED {
        126 => u64::from(io.read_u16().await?),
        127 => io.read_u64().await?,
        short => u64::from(short),
    };
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut mask = [0; 4];
    if second & MASKED != 0 {
        io.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; length as usize];
    io.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0xf != CLOSE).then(|| String::from_utf8_lossy(&payload).into_owned()))
}

async fn frame(io: &mut (impl AsyncWrite + Unpin), side: Side, kind: u8, payload: &[u8]) -> io::Result<()> {
    let masked = side == Side::Client;
    let mut frame = vec![FINAL | kind];
    let bit = if masked { MASKED } else { 0 };
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(bit | short),
        _ => {
            frame.push(bit | 126);
            let length = u16::try_from(payload.len()).map_err(|_long| io::ErrorKind::InvalidInput)?;
            frame.extend(length.to_be_bytes());
        }
    }
    if masked {
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend(payload);
    }
    io.write_all(&frame).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_received() {
        let long = "x".repeat(300);
        for side in [Side::Client, Side::Server] {
            let (mut here, mut there) = tokio::io::duplex(4096);
            send(&mut here, side, "hello").await.unwrap();
            send(&mut here, side, &long).await.unwrap();
            close(&mut here, side).await.unwrap();
            assert_eq!(receive(&mut there).await.unwrap().as_deref(), Some("hello"));
            assert_eq!(receive(&mut there).await.unwrap().as_ref(), Some(&long));
            assert_eq!(receive(&mut there).await.unwrap(), None);
        }
    }
}
