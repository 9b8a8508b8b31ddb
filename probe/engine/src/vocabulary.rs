//! The words that the contract uses for protocols and authentication schemes.

use apisec_proto::body::Format;
use apisec_proto::call::{AuthScheme, Protocol, Vantage};
use apisec_proto::sensitive::Sensitive;

/// Every protocol with its word in the contract.
pub const PROTOCOLS: [(Protocol, &str); 10] = [
    (Protocol::Http1, "http1"),
    (Protocol::Http2, "http2"),
    (Protocol::Grpc, "grpc"),
    (Protocol::Graphql, "graphql"),
    (Protocol::Websocket, "websocket"),
    (Protocol::Sse, "sse"),
    (Protocol::Jsonrpc, "jsonrpc"),
    (Protocol::Mcp, "mcp"),
    (Protocol::Opaque, "opaque"),
    (Protocol::Soap, "soap"),
];

/// Every authentication scheme with its word in the contract.
pub const AUTH_SCHEMES: [(AuthScheme, &str); 8] = [
    (AuthScheme::None, "none"),
    (AuthScheme::Basic, "basic"),
    (AuthScheme::Bearer, "bearer"),
    (AuthScheme::Jwt, "jwt"),
    (AuthScheme::ApiKey, "apikey"),
    (AuthScheme::Cookie, "cookie"),
    (AuthScheme::Other, "other"),
    (AuthScheme::Unread, "unread"),
];

/// Every format of bodies with its word.
pub const FORMATS: [(Format, &str); 7] = [
    (Format::Binary, "binary"),
    (Format::Json, "json"),
    (Format::Form, "form"),
    (Format::Multipart, "multipart"),
    (Format::Xml, "xml"),
    (Format::Text, "text"),
    (Format::Query, "query"),
];

/// The word for a format of bodies.
#[must_use]
pub fn format(format: Format) -> &'static str {
    FORMATS.iter().find(|(known, _)| *known == format).map_or("binary", |(_, word)| word)
}

/// The word for a protocol.
#[must_use]
pub fn protocol(protocol: Protocol) -> &'static str {
    PROTOCOLS.iter().find(|(known, _)| *known == protocol).map_or("opaque", |(_, word)| word)
}

/// The word for an authentication scheme.
#[must_use]
pub fn auth(scheme: AuthScheme) -> &'static str {
    AUTH_SCHEMES.iter().find(|(known, _)| *known == scheme).map_or("other", |(_, word)| word)
}

/// The word of every sensitive class.
pub fn sensitive_classes() -> impl Iterator<Item = &'static str> {
    Sensitive::ALL.into_iter().map(Sensitive::name)
}

/// The word for a vantage.
#[must_use]
pub const fn vantage(vantage: Vantage) -> &'static str {
    match vantage {
        Vantage::Server => "server",
        Vantage::Client => "client",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_serialised_form() {
        for (known, word) in PROTOCOLS {
            assert_eq!(serde_json::to_value(known).unwrap(), word);
            assert_eq!(protocol(known), word);
        }
        for (known, word) in AUTH_SCHEMES {
            assert_eq!(serde_json::to_value(known).unwrap(), word);
        }
        assert_eq!(serde_json::to_value(Vantage::Client).unwrap(), vantage(Vantage::Client));
    }
}
