//! Clients: curl, and a bare connection that sends exactly the bytes it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// An answer longer than this is not what a test asked for.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Runs curl, silent and without its configuration file, and returns the body.
///
/// # Errors
/// When curl fails; a status such as 404 is not a failure.
pub fn curl(arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new("curl");
    command.args(["--disable", "--silent", "--show-error", "--noproxy", "*"]);
    command.args(["--max-time", "15"]).args(arguments);
    let output = command.output().context("run curl")?;
    if !output.status.success() {
        bail!("curl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Sends `bytes` on a new connection, closes our direction, and returns everything that came back.
///
/// # Errors
/// When the connection cannot be made, or nothing ends it in time.
pub fn say(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut connection = connect(address)?;
    connection.write_all(bytes)?;
    connection.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    match connection.take(LONGEST_ANSWER).read_to_end(&mut answer) {
        // A server may reset after its answer, for example when it refuses the rest of what we sent.
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error.into()),
        _ => Ok(answer),
    }
}

/// A connection with a deadline on every read and write, and without Nagle's delay.
///
/// # Errors
/// When it cannot be made in time.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.set_nodelay(true)?;
    Ok(connection)
}
