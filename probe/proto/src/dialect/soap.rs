//! SOAP 1.1 and 1.2: the operation is the action, or the first element of the body where none is named.

use super::{Dialect, Scratch, answer, set_target};
use crate::call::{Call, Protocol};
use crate::exchange::Exchange;
use crate::operation;
use crate::path::Target;
use memchr::{memchr, memmem};

/// See the module.
pub struct Soap;

impl Dialect for Soap {
    fn name(&self) -> &'static str {
        "soap"
    }

    fn claims(&self, exchange: &Exchange<'_>) -> bool {
        let request = &exchange.request;
        request.method == b"POST"
            && request.body.trim_ascii_start().first() == Some(&b'<')
            && first_element(request.body, b"Envelope").is_some()
            && exchange.response.as_ref().is_none_or(|response| {
                let media = response.fields.get("content-type").unwrap_or_default();
                memmem::find(media, b"xml").is_some() || response.body.is_empty() && response.status < 400
            })
    }

    fn describe(&self, exchange: &Exchange<'_>, target: &Target<'_>, scratch: &mut Scratch, call: &mut Call) {
        set_target(exchange, target, scratch, call);
        call.protocol = Protocol::Soap;
        let body = exchange.request.body;
        let element = || first_element(body, b"Body").and_then(element_name);
        let name = action(exchange).or_else(element).unwrap_or_default();
        operation::set(name, &mut call.operation);
        let answer = answer(exchange, &mut scratch.unpacker);
        let answered = first_element(answer, b"Body").and_then(element_name);
        call.failed = answered == Some(b"Fault");
    }
}

/// The last part of the action that the fields name.
fn action<'a>(exchange: &Exchange<'a>) -> Option<&'a [u8]> {
    let fields = exchange.request.fields;
    let named = fields.get("soapaction").or_else(|| {
        let media = fields.get("content-type")?;
        memmem::find(media, b"action=").and_then(|at| media.get(at + 7..))
    })?;
    let named = named.trim_ascii();
    let action = match named.strip_prefix(b"\"") {
        Some(quoted) => quoted.get(..memchr(b'"', quoted)?)?,
        None => named.split(|byte| *byte == b';').next()?,
    };
    let last = action.rsplit(|byte| matches!(byte, b'/' | b'#' | b':')).find(|part| !part.is_empty())?;
    Some(last)
}

/// What stands inside the first element with this local name.
fn first_element<'a>(text: &'a [u8], local: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    while let Some(at) = memmem::find(rest, local) {
        let before = rest.get(..at).unwrap_or_default();
        let after = rest.get(at + local.len()..).unwrap_or_default();
        let opens = before.rsplit(|byte| *byte == b'<').next().is_some_and(|prefix| {
            before.contains(&b'<')
                && prefix
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
        });
        if opens && matches!(after.first(), Some(b'>' | b' ' | b'\r' | b'\n' | b'\t' | b'/')) {
            return memchr(b'>', after).and_then(|end| after.get(end + 1..));
        }
        rest = after;
    }
    None
}

/// The local name of the first element of `text`.
fn element_name(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        rest = rest.get(memchr(b'<', rest)? + 1..)?;
        match rest.first()? {
            b'!' | b'?' => {}
            b'/' => return None,
            _ => break,
        }
    }
    let len = rest.iter().position(|byte| matches!(byte, b'>' | b' ' | b'/' | b'\r' | b'\n' | b'\t'))?;
    rest.get(..len)?.rsplit(|byte| *byte == b':').next()
}

#[cfg(test)]
mod tests {
    use crate::call::{Call, Protocol};
    use crate::fixture::{exchange, named};

    const ASK: &str = "<?xml version=\"1.0\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\
        <soap:Header/><soap:Body><!-- x --><m:GetPrice xmlns:m=\"urn:x\"><m:Item>7</m:Item></m:GetPrice></soap:Body></soap:Envelope>";
    const FAULT: &str =
        "<s:Envelope><s:Body><s:Fault><faultcode>x</faultcode></s:Fault></s:Body></s:Envelope>";

    fn of(action: Option<&str>, status: u16, answer: &str) -> Call {
        let mut exchange =
            exchange("POST", "/ws", "text/xml; charset=utf-8", ASK, status, "text/xml", answer);
        if let Some(action) = action {
            exchange.request_fields.push(("SOAPAction", action.into()));
        }
        named(&exchange)
    }

    #[test]
    fn the_action_is_the_operation() {
        let answer = "<s:Envelope><s:Body><GetPriceResponse/></s:Body></s:Envelope>";
        for (action, name) in [
            (Some("\"http://shop.example/prices/GetPrice\""), "GetPrice"),
            (Some("urn:shop#FindPrice"), "FindPrice"),
            (Some("\"\""), "GetPrice"),
            (None, "GetPrice"),
        ] {
            let call = of(action, 200, answer);
            assert_eq!(
                (call.protocol, &*call.operation, call.failed),
                (Protocol::Soap, name, false),
                "{action:?}"
            );
        }
    }

    #[test]
    fn a_fault_is_a_failure_whatever_the_status() {
        assert!(of(None, 200, FAULT).failed);
    }

    #[test]
    fn other_xml_is_not_soap() {
        let call = named(&exchange("POST", "/x", "text/xml", "<a>Envelope</a>", 200, "text/xml", "<b/>"));
        assert_eq!(call.protocol, Protocol::Http1);
        let call = named(&exchange("POST", "/x", "text/xml", ASK, 404, "text/html", "<html>"));
        assert_eq!(call.protocol, Protocol::Http1);
    }
}
