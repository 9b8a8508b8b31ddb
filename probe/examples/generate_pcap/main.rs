//! Writes a pcap of keep-alive requests to an nginx-like server, for the offline benchmark.
//!
//! `generate_pcap OUT [REQUESTS] [CONNECTIONS]`; the same arguments give the same bytes.

mod traffic;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: generate_pcap OUT [REQUESTS] [CONNECTIONS]")?;
    let requests = arguments.next().map_or(Ok(200_000), |count| count.parse())?;
    let connections = arguments.next().map_or(Ok(64), |count| count.parse())?;
    let mut file = BufWriter::new(File::create(&path)?);
    let packets = traffic::write(&mut file, requests, connections)?;
    file.flush()?;
    println!("{path}: {requests} requests in {packets} packets over {connections} connections");
    Ok(())
}
