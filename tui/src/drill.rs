//! Filters that lead from a row of one view to what belongs to it in another.

use apisec_engine::snapshot::EndpointView;

/// The filter that shows one service, by the name that it has on screen (or by its id).
#[must_use]
pub fn service(name: &str) -> String {
    format!("dst={}", quoted(name))
}

/// The filter that shows the calls of one endpoint. Where its path has parameters, anything stands for them.
#[must_use]
pub fn endpoint(endpoint: &EndpointView, service: &str) -> String {
    let mut path = String::new();
    for piece in endpoint.path.split('{') {
        match piece.split_once('}') {
            Some((_, literal)) => path.extend(["*", literal]),
            None => path.push_str(piece),
        }
    }
    let operation = if endpoint.operation.is_empty() {
        String::new()
    } else {
        format!(" operation={}", quoted(&endpoint.operation))
    };
    let (service, method) = (self::service(service), quoted(&endpoint.method));
    format!("{service} method={method} path={}{operation}", quoted(&path))
}

/// A text in quotes where it needs them; the language has no escape for a quote, so anything stands for it.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./*".contains(c)) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use apisec_engine::filter::Filter;

    #[test]
    fn an_endpoint_leads_to_its_calls_and_to_no_others() {
        let snapshot = fixture::shop();
        for endpoint in &snapshot.endpoints {
            let filter = Filter::parse(&super::endpoint(endpoint, &endpoint.service)).expect("a filter");
            assert!(filter.endpoint(endpoint), "{}", filter.text());
            for chunk in &snapshot.log.chunks {
                for row in chunk.rows.iter().filter(|row| filter.row(chunk, row)) {
                    let logged = &chunk.endpoints[row.endpoint as usize];
                    assert_eq!(
                        (logged.service.as_str(), logged.method.as_str()),
                        (endpoint.service.as_str(), endpoint.method.as_str())
                    );
                    assert!(endpoint.path.contains('{') || logged.path == endpoint.path);
                }
            }
        }
    }

    #[test]
    fn quotes_in_names_do_not_break_the_filter() {
        let text = service("process:a\"b c");
        assert!(Filter::parse(&text).is_ok(), "{text}");
    }
}
