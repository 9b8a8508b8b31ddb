//! A program with TLS by rustls. As a server with four arguments (address, port, certificate, key), else a client: `ask`, address, port and paths.

use std::io::{BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, io, thread};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// How often a large answer holds its path: more than rustls takes at once.
const LARGE: usize = 8192;

type Any = Result<(), Box<dyn std::error::Error>>;

fn main() -> Any {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["ask", address, port, chain, ref paths @ ..] => ask(&format!("{address}:{port}"), chain, paths),
        [address, port, chain, key] => serve(&format!("{address}:{port}"), chain, key),
        _ => Err("address, port, certificate and key; or ask, address, port, certificate and paths".into()),
    }
}

/// Answers every request with its path.
fn serve(listen: &str, chain: &str, key: &str) -> Any {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let config = Arc::new(config);
    for socket in TcpListener::bind(listen)?.incoming() {
        let (socket, config) = (socket?, Arc::clone(&config));
        thread::spawn(move || {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            answer(StreamOwned::new(connection, socket))
        });
    }
    Ok(())
}

fn answer(stream: StreamOwned<ServerConnection, TcpStream>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let body = path.repeat(if path.ends_with("/large") { LARGE } else { 1 });
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let pieces = [IoSlice::new(head.as_bytes()), IoSlice::new(body.as_bytes())];
        let sent = stream.get_mut().write_vectored(&pieces)?;
        let rest = [head, body].concat();
        stream.get_mut().write_all(rest.as_bytes().get(sent..).unwrap_or_default())?;
    }
}

/// Asks for paths over one connection.
fn ask(address: &str, chain: &str, paths: &[&str]) -> Any {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(chain)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("shop.example")?;
    let connection = ClientConnection::new(Arc::new(config), name)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, TcpStream::connect(address)?));
    for path in paths {
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")?;
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
    }
    Ok(())
}
