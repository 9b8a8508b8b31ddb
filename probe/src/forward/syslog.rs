//! Syslog (RFC 5424) over UDP (RFC 5426), TCP with octet counting (RFC 6587 §3.4.1) and TLS (RFC 5425).
//!
//! Syslog has no acknowledgements: what was handed to the connection counts as taken. A connection that the receiver
//! has closed is noticed before the next message; what was under way at that moment may be lost.

use super::address::{Access, Kind};
use super::stream::{Stream, Trust};
use super::{Refusal, Sender};
use apisec_engine::export::syslog;
use apisec_engine::finding::Finding;
use std::io::Write;
use std::net::UdpSocket;

/// The kind.
pub(super) const KIND: Kind = Kind { name: "syslog", about: "udp://, tcp:// or tls://HOST:PORT", open };

struct Syslog {
    authority: String,
    host: String,
    /// `None`: datagrams.
    transport: Option<Option<Trust>>,
    stream: Option<Stream>,
}

fn open(address: &str, access: &Access) -> Result<Box<dyn Sender>, String> {
    let (transport, authority) = address.split_once("://").unwrap_or(("", address));
    let transport = match transport {
        "udp" => None,
        "tcp" => Some(None),
        "tls" => Some(Some(access.trust.clone())),
        _ => return Err(format!("`{address}` is not udp://, tcp:// or tls://HOST:PORT")),
    };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !has_port {
        return Err(format!("`{address}` names no port: 514, or 6514 for tls://"));
    }
    Ok(Box::new(Syslog {
        authority: authority.to_owned(),
        host: access.host.clone(),
        transport,
        stream: None,
    }))
}

impl Sender for Syslog {
    fn send(&mut self, findings: &[Finding]) -> Result<(), Refusal> {
        let messages = findings.iter().map(|finding| syslog::message(finding, &self.host));
        let Some(trust) = &self.transport else {
            let socket =
                UdpSocket::bind(if self.authority.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" })?;
            socket.connect(&self.authority)?;
            for message in messages {
                socket.send(message.as_bytes())?;
            }
            return Ok(());
        };
        let mut stream = match self.stream.take() {
            Some(stream) if !stream.is_closed() => stream,
            _ => Stream::open(&self.authority, trust.as_ref())?,
        };
        for message in messages {
            stream.write_all(format!("{} {message}", message.len()).as_bytes())?;
        }
        stream.flush()?;
        self.stream = Some(stream);
        Ok(())
    }
}
