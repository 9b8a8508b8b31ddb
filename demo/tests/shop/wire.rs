//! A client that shares no code with the servers: one connection, one request at a time, by hand.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing the tests ask for takes this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    /// Sent with every request once it is set.
    pub(crate) token: Option<String>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// In how many chunks the body came.
    pub(crate) chunks: usize,
}

impl Reply {
    /// The value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream: BufReader::new(stream), token: None })
    }

    /// This end of the connection.
    pub(crate) fn local(&self) -> Result<SocketAddr> {
        Ok(self.stream.get_ref().local_addr()?)
    }

    /// Sends GET and reads the response.
    pub(crate) fn get(&mut self, target: &str) -> Result<Reply> {
        self.ask("GET", target, "")
    }

    /// Sends a request and reads the response.
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &str) -> Result<Reply> {
        self.send(method, target, body)?;
        self.reply(method == "HEAD").with_context(|| format!("{method} {target}"))
    }

    /// Sends a request only.
    pub(crate) fn send(&mut self, method: &str, target: &str, body: &str) -> Result<()> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: shop.test\r\n");
        if let Some(token) = &self.token {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        if !body.is_empty() {
            request
                .push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        Ok(self.stream.get_mut().write_all(format!("{request}\r\n{body}").as_bytes())?)
    }

    fn reply(&mut self, headless: bool) -> Result<Reply> {
        let start = self.line()?;
        let status = start.split(' ').nth(1).context("no status")?.parse()?;
        let mut reply = Reply { status, fields: Vec::new(), body: Vec::new(), chunks: 0 };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            reply.fields.push((name.to_lowercase(), value.trim().to_owned()));
        }
        if headless || status == 204 {
            return Ok(reply);
        }
        if reply.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                reply.body.extend(chunk);
                reply.chunks += 1;
            }
        } else {
            let length = reply.field("content-length").context("a body without an end")?.parse()?;
            reply.body = self.bytes(length)?;
        }
        Ok(reply)
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.line()?, 16)?;
        let chunk = self.bytes(length)?;
        if !self.line()?.is_empty() {
            bail!("a chunk is longer than it says");
        }
        Ok((length > 0).then_some(chunk))
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.strip_suffix("\r\n").context("the connection ended")?.to_owned())
    }
}
