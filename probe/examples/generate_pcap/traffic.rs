//! The traffic: handshakes, requests answered with ~200 bytes of JSON, acknowledgements, closing.

use std::io::{self, Write};

const START: u64 = 1_767_225_600_000_000;
const FIN: u8 = 0x11;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const PUSH: u8 = 0x18;
const ACK: u8 = 0x10;

/// One connection: the client's port and the next sequence number of either end.
struct Connection {
    port: u16,
    client: u32,
    server: u32,
}

/// Writes the capture to `out`; gives the number of packets.
pub(crate) fn write(out: &mut impl Write, requests: u32, connections: u16) -> io::Result<u64> {
    out.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
    let mut capture = Capture { out, micros: START, packets: 0, frame: Vec::new() };
    let mut open = Vec::new();
    for index in 0..connections.clamp(1, 20_000) {
        open.push(capture.handshake(40_000 + index, u32::from(index) * 1_000_003)?);
    }
    for number in 0..requests {
        let index = number as usize % open.len();
        if let Some(connection) = open.get_mut(index) {
            capture.exchange(connection, number)?;
        }
    }
    for mut connection in open {
        capture.send(&mut connection, true, FIN, b"")?;
        capture.send(&mut connection, false, FIN, b"")?;
    }
    Ok(capture.packets)
}

struct Capture<'a, W> {
    out: &'a mut W,
    micros: u64,
    packets: u64,
    frame: Vec<u8>,
}

impl<W: Write> Capture<'_, W> {
    fn handshake(&mut self, port: u16, isn: u32) -> io::Result<Connection> {
        let mut connection = Connection { port, client: isn, server: isn ^ 0x5555_5555 };
        self.send(&mut connection, true, SYN, b"")?;
        self.send(&mut connection, false, SYN_ACK, b"")?;
        self.send(&mut connection, true, ACK, b"")?;
        Ok(connection)
    }

    fn exchange(&mut self, connection: &mut Connection, number: u32) -> io::Result<()> {
        let path = match number % 5 {
            0 => format!("/api/items/{}", number % 9973),
            1 => format!("/api/users/{}/orders?page={}", number % 997, number % 7),
            2 => "/api/health".into(),
            3 => format!("/api/carts/{:08x}-1111-4222-8333-444455556666", number.wrapping_mul(2_654_435_761)),
            _ => "/api/items".into(),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: shop.internal:8080\r\nUser-Agent: wrk/4.2\r\nAccept: */*\r\n\r\n"
        );
        let status = if number.is_multiple_of(50) { "404 Not Found" } else { "200 OK" };
        let body = format!("{{\"number\":{number},\"items\":[{}]}}", "\"0123456789abcdef\",".repeat(9));
        let response = format!(
            "HTTP/1.1 {status}\r\nServer: nginx/1.22.1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
            body.len(),
        );
        self.send(connection, true, PUSH, request.as_bytes())?;
        self.micros += 90;
        self.send(connection, false, PUSH, response.as_bytes())?;
        self.send(connection, true, ACK, b"")
    }

    fn send(
        &mut self,
        connection: &mut Connection,
        client: bool,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let consumed = payload.len() as u32 + u32::from(flags & 3 != 0);
        let (seq, ack) = if client {
            (connection.client, connection.server)
        } else {
            (connection.server, connection.client)
        };
        self.frame(connection.port, client, seq, ack, flags, payload);
        *(if client { &mut connection.client } else { &mut connection.server }) = seq.wrapping_add(consumed);
        self.micros += 3;
        self.packets += 1;
        let length = (self.frame.len() as u32).to_le_bytes();
        self.out.write_all(&((self.micros / 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&((self.micros % 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&length)?;
        self.out.write_all(&length)?;
        self.out.write_all(&self.frame)
    }

    fn frame(&mut self, port: u16, client: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        let server = ([10, 0, 0, 2], 8080_u16);
        let (from, to) =
            if client { (([10, 0, 0, 1], port), server) } else { (server, ([10, 0, 0, 1], port)) };
        let frame = &mut self.frame;
        frame.clear();
        frame.extend([2; 12]);
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((52 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend([from.0, to.0].concat());
        frame.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
        frame.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
        frame.extend([0x80, flags, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
        frame.extend(payload);
    }
}
