//! Specifications that a cluster holds: in ConfigMaps that are labelled for it, whole and never referring elsewhere.
//!
//! A ConfigMap speaks for its own namespace only, so that nobody describes what is another's. Read once, at the start.

use super::access::Cluster;
use super::mark::{DESCRIBES, SPEC};
use super::trouble;
use crate::spec::{Loaded, of_text};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::drift::Given;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams};

/// ConfigMaps of one page.
const PAGE: u32 = 100;
/// ConfigMaps that are read, each of at most 1 MiB (the API server sees to that).
const MAX_MAPS: usize = 500;
/// Endings of keys that are specifications.
const ENDINGS: [&str; 6] = [".yaml", ".yml", ".json", ".graphql", ".graphqls", ".proto"];

/// Reads them.
pub async fn specifications(cluster: &Cluster) -> Loaded {
    let mut loaded = Loaded::default();
    let api: Api<ConfigMap> = Api::all(cluster.client.clone());
    let (mut params, mut read) = (ListParams::default().labels(SPEC).limit(PAGE), 0);
    loop {
        match api.list(&params).await {
            Ok(page) => {
                read += page.items.len();
                loaded.specs.extend(page.items.iter().flat_map(given));
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    None => return loaded,
                    Some(_) if read >= MAX_MAPS => {
                        let what = format!("of ConfigMaps with specifications only {read} were read");
                        loaded.degradations.push(missing(what, "give the others with --spec"));
                        return loaded;
                    }
                    Some(token) => params.continue_token = Some(token),
                }
            }
            Err(error) => {
                let told = trouble::of(&error, "list ConfigMaps");
                let what = format!("specifications in ConfigMaps are not read: {}", told.what);
                loaded.degradations.push(missing(what, "kubectl apisec print rbac --role specifications"));
                return loaded;
            }
        }
    }
}

fn missing(what: String, remedy: &str) -> Degradation {
    let (code, severity) = ("cluster-specifications".into(), Severity::Notice);
    Degradation { code, severity, what, remedy: remedy.into() }
}

fn given(map: &ConfigMap) -> Vec<Given> {
    let meta = &map.metadata;
    let name = |text: &Option<String>| trouble::plain(text.as_deref().unwrap_or_default());
    let (namespace, called) = (name(&meta.namespace), name(&meta.name));
    let describes = meta.annotations.as_ref().and_then(|map| map.get(DESCRIBES));
    let service = describes
        .filter(|workload| !workload.contains('/'))
        .map(|workload| format!("{namespace}/{workload}"));
    let keys =
        map.data.iter().flatten().filter(|(key, _)| ENDINGS.iter().any(|ending| key.ends_with(ending)));
    keys.map(|(key, text)| {
        let name = format!("configmap/{namespace}/{called}/{}", trouble::plain(key));
        of_text(&name, text.as_bytes(), service.clone())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::{list, refusal, server};
    use crate::kubernetes::wait;
    use serde_json::{Value, json};

    const OPENAPI: &str = "openapi: 3.0.3\ninfo: {title: Cart, version: '1'}\npaths: {/cart: {get: {responses: {'200': {description: x}}}}}\n";

    #[test]
    fn a_config_map_describes_a_workload_of_its_own_namespace() {
        let map = |name: &str, describes: &str| {
            json!({"metadata": {"namespace": "shop", "name": name, "annotations": {DESCRIBES: describes}},
                "data": {"openapi.yaml": OPENAPI, "notes.txt": "none"}})
        };
        let answer = move |_: &str, path: &str, _: &Value| {
            assert!(
                path.starts_with("/api/v1/configmaps?") && path.contains("labelSelector=apisec-top%2Fspec"),
                "{path}"
            );
            list(&[map("a", "cart"), map("b", "pay/ledger")])
        };
        let loaded = wait(async { Ok(specifications(&server(answer)).await) }).unwrap();
        let told: Vec<_> =
            loaded.specs.iter().map(|given| (given.spec.file.as_str(), given.service.as_deref())).collect();
        let expected =
            [("configmap/shop/a/openapi.yaml", Some("shop/cart")), ("configmap/shop/b/openapi.yaml", None)];
        assert_eq!(told, expected);
        assert!(loaded.specs.iter().all(|given| given.spec.operations.len() == 1));
    }

    #[test]
    fn that_they_may_not_be_read_is_said() {
        let answer = |_: &str, _: &str, _: &Value| refusal(403, "configmaps is forbidden");
        let loaded = wait(async { Ok(specifications(&server(answer)).await) }).unwrap();
        assert!(loaded.specs.is_empty() && loaded.degradations[0].what.contains("forbidden"));
    }
}
