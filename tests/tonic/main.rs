//! gRPC by tonic. As a server with two arguments (address and port) and two more for TLS (certificate, key), printing what it
//! answered; else a client: `ask`, URL, service and, for TLS, the certificate. Messages are octets, streams in both directions.

use std::convert::Infallible;
use std::env;
use std::fs;
use std::io::Write as _;

use bytes::{Buf as _, BufMut as _};
use tonic::body::Body;
use tonic::client;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Context, Poll, Service, http, tokio_stream};
use tonic::server::{self, StreamingService};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

type Any = Result<(), Box<dyn std::error::Error>>;
type Octets = Vec<u8>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Any {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["ask", url, service] => ask(Endpoint::from_shared(url.to_owned())?, service).await,
        ["ask", url, service, chain] => {
            let trusted = Certificate::from_pem(fs::read(chain)?);
            let tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("shop.example");
            ask(Endpoint::from_shared(url.to_owned())?.tls_config(tls)?, service).await
        }
        [address, port] => serve(Server::builder(), address, port).await,
        [address, port, chain, key] => {
            let identity = Identity::from_pem(fs::read(chain)?, fs::read(key)?);
            let tls = ServerTlsConfig::new().identity(identity);
            serve(Server::builder().tls_config(tls)?, address, port).await
        }
        _ => Err("address, port [, certificate, key]; or ask, URL, service [, certificate]".into()),
    }
}

async fn serve(server: Server, address: &str, port: &str) -> Any {
    Ok(server.serve(format!("{address}:{port}").parse()?, Shop).await?)
}

/// Makes every kind of call, some at the same time.
async fn ask(endpoint: Endpoint, service: &str) -> Any {
    let channel = endpoint.connect().await?;
    let call = async |method: &str, messages: Vec<Octets>| {
        let mut grpc = client::Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let path = PathAndQuery::try_from(format!("{service}.Cart/{method}"));
        let path = path.map_err(|error| Status::internal(error.to_string()))?;
        let request = Request::new(tokio_stream::iter(messages));
        let mut answer = grpc.streaming(request, path, Plain).await?.into_inner();
        let mut count = 0;
        while answer.message().await?.is_some() {
            count += 1;
        }
        Ok::<_, Status>(count)
    };
    for size in [0, 10, 5_000, 300_000] {
        assert_eq!(call("Unary", vec![vec![b'a'; size]]).await?, 1);
    }
    for method in ["Fail", "Nothing"] {
        assert!(call(method, vec![b"q".to_vec()]).await.is_err());
    }
    for _ in 0..3 {
        let together = tokio::join!(
            call("Watch", vec![b"w".to_vec()]),
            call("Upload", vec![vec![b'm'; 5_000]; 9]),
            call("Chat", (0..11).map(|n| vec![b'c'; n * 20]).collect()),
        );
        assert_eq!((together.0?, together.1?, together.2?), (7, 1, 11));
    }
    Ok(())
}

#[derive(Clone)]
struct Shop;

impl Service<http::Request<Body>> for Shop {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method(request.uri().path().to_owned());
        Box::pin(async move { Ok(server::Grpc::new(Plain).streaming(method, request).await) })
    }
}

/// Answers by the last part of the path.
struct Method(String);

impl StreamingService<Octets> for Method {
    type Response = Octets;
    type ResponseStream = tokio_stream::Iter<std::vec::IntoIter<Result<Octets, Status>>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Octets>>) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move {
            let (mut asked, mut messages) = (request.into_inner(), Vec::new());
            while let Some(message) = asked.message().await? {
                messages.push(message);
            }
            let answers = match path.rsplit('/').next().unwrap_or_default() {
                "Unary" => Ok(vec![messages.concat().repeat(2)]),
                "Watch" => Ok((0..7).map(|n| vec![b'x'; 100 * n]).collect()),
                "Upload" => Ok(vec![b"ok".to_vec()]),
                "Chat" => Ok(messages),
                "Fail" => Err(Status::not_found("no")),
                _ => Err(Status::unimplemented("no")),
            };
            let status = answers.as_ref().err().map_or(0, |status| status.code() as i32);
            let told = writeln!(std::io::stdout(), "answered grpc POST {path} 200 {status}");
            told.map_err(|error| Status::internal(error.to_string()))?;
            let answers = answers?.into_iter().map(Ok).collect::<Vec<_>>();
            Ok(Response::new(tokio_stream::iter(answers)))
        })
    }
}

/// Messages as they are.
struct Plain;

impl Codec for Plain {
    type Encode = Octets;
    type Decode = Octets;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Octets;
    type Error = Status;

    fn encode(&mut self, message: Octets, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Octets;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Octets>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}
