//! The other servers, by role: where they are and how to call them.

use crate::client::{self, Answer, Pool};
use crate::hop::Hop;
use crate::network::Network;
use crate::problem::Problem;
use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;

/// One `ROLE=ADDRESS` of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The role of the server.
    pub(crate) role: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (role, address) = text.split_once('=').context("expected ROLE=ADDRESS")?;
        let address = address.parse().with_context(|| format!("{address} is not an address with a port"))?;
        Ok(Self { role: role.to_owned(), address })
    }
}

/// The servers that this one calls, behind one pool of connections.
pub(crate) struct Peers {
    pool: Pool,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Peers {
    /// The given servers, reached through `network`.
    pub(crate) fn new(network: &Network, peers: Vec<Peer>) -> Self {
        let addresses = peers.into_iter().map(|peer| (peer.role, peer.address)).collect();
        Self { pool: client::pool(network), addresses }
    }

    /// Their roles.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().map(String::as_str)
    }

    /// Calls a peer on behalf of the request behind `hop` and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// 502 when the peer cannot be reached.
    pub(crate) async fn call(
        &self,
        hop: &Hop,
        role: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Problem> {
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(role, path)?;
        hop.write(request.headers_mut());
        if body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        client::ask(&self.pool, request).await.map_err(|error| unreachable(role, &error))
    }

    /// Fetches whatever `url` names, on behalf of whoever asked for it.
    ///
    /// # Errors
    /// 422 when it is no URL, 502 when nobody answers.
    pub(crate) async fn fetch(&self, method: Method, url: &str, body: Body) -> Result<Answer, Problem> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().map_err(|_invalid| Problem::unprocessable("that is no URL"))?;
        client::ask(&self.pool, request).await.map_err(|error| unreachable("the other server", &error))
    }

    /// Sends a request of one's own making to a peer; its target is path and query.
    ///
    /// # Errors
    /// 502 when the peer cannot be reached.
    pub(crate) async fn ask(&self, role: &str, mut request: Request<Body>) -> Result<Answer, Problem> {
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = self.uri(role, path)?;
        client::ask(&self.pool, request).await.map_err(|error| unreachable(role, &error))
    }

    /// Sends `request` on to a peer, unchanged but for its authority.
    ///
    /// # Errors
    /// 502 when the peer cannot be reached.
    pub(crate) async fn forward(
        &self,
        role: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Problem> {
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = self.uri(role, path)?;
        client::send(&self.pool, request).await.map_err(|error| unreachable(role, &error))
    }

    fn uri(&self, role: &str, path: &str) -> Result<Uri, Problem> {
        let address = self.addresses.get(role).ok_or_else(|| bad_gateway(role, "it is not configured"))?;
        format!("http://{address}{path}").parse().map_err(|_invalid| Problem::internal("no such target"))
    }
}

fn unreachable(role: &str, error: &anyhow::Error) -> Problem {
    bad_gateway(role, &format!("{error:#}"))
}

fn bad_gateway(role: &str, why: &str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, &format!("{role} did not answer: {why}"))
}
