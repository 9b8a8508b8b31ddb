//! A connection that is kept: sends exactly the bytes it is told and reads one answer at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};

use crate::client;

/// One answer, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Bytes of its head.
    pub head: u64,
    /// Bytes of its body on the wire, with the framing of chunks.
    pub body: u64,
}

/// The connection.
#[derive(Debug)]
pub struct Conversation {
    stream: BufReader<TcpStream>,
}

impl Conversation {
    /// Connects.
    ///
    /// # Errors
    /// When that fails.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: BufReader::new(client::connect(address)?) })
    }

    /// Sends `bytes` in one write.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }

    /// Sends `bytes` one at a time, each in a segment of its own.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_bytewise(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.iter().try_for_each(|byte| self.send(&[*byte]))
    }

    /// Asks for `path` and reads the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask("GET", path, "")
    }

    /// Sends a request without a body, with `fields` (each with its line end), and reads the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str) -> Result<Answer> {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n").as_bytes())?;
        self.answer(method)
    }

    /// Reads the answer to a request with `method`.
    ///
    /// # Errors
    /// When the connection ends before it does.
    pub fn answer(&mut self, method: &str) -> Result<Answer> {
        let (status, head, length) = self.head()?;
        let bare = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
        let body = match length {
            _ if bare => 0,
            Some(length) => self.skip(length)?,
            None => self.chunks()?,
        };
        Ok(Answer { status, head, body })
    }

    /// Reads `bytes` of what comes and forgets them.
    ///
    /// # Errors
    /// When fewer come.
    pub fn skip(&mut self, bytes: u64) -> Result<u64> {
        let read = std::io::copy(&mut self.stream.by_ref().take(bytes), &mut std::io::sink())?;
        ensure!(read == bytes, "the answer ended after {read} of {bytes} bytes");
        Ok(read)
    }

    /// Status, size and content length of the head that comes next; none when the body is chunked.
    ///
    /// # Errors
    /// When the connection ends before it does.
    pub fn head(&mut self) -> Result<(u16, u64, Option<u64>)> {
        let (mut status, mut head, mut length) = (0, 0, Some(0));
        loop {
            let line = self.line()?;
            head += line.len() as u64;
            let text = line.trim_end().to_ascii_lowercase();
            if status == 0 {
                status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).context("a status line")?;
            } else if let Some(value) = text.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            } else if text.starts_with("transfer-encoding:") {
                length = None;
            } else if text.is_empty() {
                return Ok((status, head, length));
            }
        }
    }

    fn chunks(&mut self) -> Result<u64> {
        let mut read = 0;
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.trim_end(), 16).with_context(|| line.clone())?;
            read += line.len() as u64 + self.skip(size + 2)?;
            if size == 0 {
                return Ok(read);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection ended");
        Ok(line)
    }
}
