//! A TLS library of one function, in our own program: it reads a connection and gives away plaintext, so that `doctor` can
//! see the whole way work on any machine.

use crate::attach::tls::{Plan, Probe};
use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;

/// What the function gives away.
pub const PLAINTEXT: &[u8; 32] = b"GET /apisec-top-tls HTTP/1.1\r\n\r\n";

/// Reads the connection, whatever it says, and gives [`PLAINTEXT`]; returns its length, or -1.
#[inline(never)]
extern "C" fn read(connection: &mut TcpStream, plaintext: &mut [u8; 32], len: i32) -> i32 {
    let mut ciphertext = [0; 256];
    if connection.read(&mut ciphertext).is_err() {
        return -1;
    }
    *plaintext = *PLAINTEXT;
    std::hint::black_box(len)
}

/// Reads through the function.
pub fn provoke(connection: &mut TcpStream) {
    let read = std::hint::black_box(read as extern "C" fn(&mut TcpStream, &mut [u8; 32], i32) -> i32);
    let mut plaintext = [0; 32];
    std::hint::black_box(read(connection, &mut plaintext, PLAINTEXT.len() as i32));
}

/// Where the function is; `None` when our own program cannot be found.
#[must_use]
pub fn plan() -> Option<Plan> {
    let address = read as *const () as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let offset = maps.lines().find_map(|line| offset_of(line, address))?;
    let file = File::open("/proc/self/exe").ok()?;
    Some(Plan { file, sites: vec![(Probe::Call, offset), (Probe::ReadReturn, offset)] })
}

/// The offset in the file of an address in the mapping that `line` describes.
fn offset_of(line: &str, address: u64) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    let (from, to) = (hexadecimal(from)?, hexadecimal(to)?);
    let offset = hexadecimal(fields.nth(1)?)?;
    (from..to).contains(&address).then(|| address - from + offset)
}
