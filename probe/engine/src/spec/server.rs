//! Where an API is served: hosts and base paths, with their variables filled in.

use super::document::Node;
use super::{MAX_PARTS, Server};
use serde_json::Value;

/// Ways to fill in the variables of one address; more are left out.
const MAX_FILLINGS: usize = 16;

/// The servers of an OpenAPI 3 object, or none when it names none.
pub(super) fn servers(node: &Node<'_>) -> Vec<Server> {
    let Some(list) = node.get("servers") else { return Vec::new() };
    let mut servers: Vec<Server> = list.items().take(MAX_PARTS).flat_map(|server| filled(&server)).collect();
    dedup(&mut servers);
    servers
}

/// The servers of a Swagger 2.0 document.
pub(super) fn swagger(root: &Node<'_>) -> Vec<Server> {
    let text = |key| root.value.get(key).and_then(Value::as_str).unwrap_or_default();
    vec![Server { host: host(text("host")), base: base(text("basePath")) }]
}

/// Base paths of some servers, the root when there are none.
pub(super) fn bases(servers: &[Server]) -> Vec<String> {
    let mut bases: Vec<String> = servers.iter().map(|server| server.base.clone()).collect();
    let mut seen = std::collections::HashSet::new();
    bases.retain(|base| seen.insert(base.clone()));
    if bases.is_empty() {
        bases.push(String::new());
    }
    bases
}

/// An address with each value of each of its variables.
fn filled(server: &Node<'_>) -> Vec<Server> {
    let Some(url) = server.value.get("url").and_then(Value::as_str) else { return Vec::new() };
    let mut urls = vec![url.to_owned()];
    for (name, variable) in server.get("variables").iter().flat_map(|all| all.members().collect::<Vec<_>>()) {
        let hole = format!("{{{name}}}");
        let values = values(variable.value);
        if !url.contains(&hole) || values.is_empty() {
            continue;
        }
        let fill = |url: &String| values.iter().map(|value| url.replace(&hole, value)).collect::<Vec<_>>();
        urls = urls.iter().flat_map(fill).take(MAX_FILLINGS).collect();
    }
    urls.iter().map(|url| parse(url)).collect()
}

/// The default first.
fn values(variable: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let default = variable.get("default").and_then(text);
    let named = variable.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(text);
    let others: Vec<String> = named.filter(|value| Some(value) != default.as_ref()).collect();
    default.into_iter().chain(others).collect()
}

fn parse(url: &str) -> Server {
    match url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//")) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Server { host: host(authority), base: base(path) }
        }
        None => Server { host: String::new(), base: base(url) },
    }
}

/// Lower case, without user information and without the port that goes without saying.
fn host(authority: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host).to_owned()
}

/// `/v1` of `v1/`, `./v1` and `/v1/?x#y`.
fn base(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut base = String::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        base.push('/');
        base.push_str(part);
    }
    base
}

fn dedup(servers: &mut Vec<Server>) {
    let mut seen = std::collections::HashSet::new();
    servers.retain(|server| seen.insert((server.host.clone(), server.base.clone())));
    servers.truncate(MAX_PARTS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: &Value) -> Vec<(String, String)> {
        let node = Node { file: "a", pointer: String::new(), value };
        servers(&node).into_iter().map(|server| (server.host, server.base)).collect()
    }

    fn pair(host: &str, base: &str) -> (String, String) {
        (host.to_owned(), base.to_owned())
    }

    #[test]
    fn hosts_and_bases_are_taken_apart() {
        let value = json!({"servers": [{"url": "https://API.example.com:443/v1/"}, {"url": "/"}, {"url": "v2"},
            {"url": "http://u:p@localhost:8080"}, {"url": "https://API.example.com/v1"}, {"nonsense": 1}]});
        let expected =
            [pair("api.example.com", "/v1"), pair("", ""), pair("", "/v2"), pair("localhost:8080", "")];
        assert_eq!(of(&value), expected);
    }

    #[test]
    fn variables_are_filled_with_the_default_first() {
        let value = json!({"servers": [{"url": "https://{place}.example.com/{base}", "variables": {
            "place": {"default": "eu", "enum": ["us", "eu"]}, "base": {"default": 2}}}]});
        assert_eq!(of(&value), [pair("eu.example.com", "/2"), pair("us.example.com", "/2")]);
    }

    #[test]
    fn hostile_numbers_of_variables_stay_bounded() {
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let value = json!({"servers": [{"url": "/{a}/{b}/{c}", "variables": {
            "a": {"enum": many}, "b": {"enum": many}, "c": {"enum": many}}}]});
        assert_eq!(of(&value).len(), MAX_FILLINGS);
    }
}
