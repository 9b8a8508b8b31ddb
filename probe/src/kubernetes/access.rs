//! The way to an API server: from a kubeconfig as `kubectl` reads it, or from inside a pod.
//!
//! Who we are there is decided by the kubeconfig and by `--as`; credentials stay with the crate `kube` and are never
//! printed.

use super::trouble;
use crate::source::SourceError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

/// How long an API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Its file; `KUBECONFIG`, `~/.kube/config`, then the pod's own account, when absent.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig, instead of the current one.
    pub context: Option<String>,
    /// A cluster of the kubeconfig, instead of the context's.
    pub cluster: Option<String>,
    /// A user of the kubeconfig, instead of the context's.
    pub user: Option<String>,
    /// The namespace, instead of the context's.
    pub namespace: Option<String>,
    /// Somebody to act as.
    pub impersonate: Option<String>,
    /// Groups to act as a member of.
    pub groups: Vec<String>,
}

/// An open way.
#[derive(Clone)]
pub struct Cluster {
    /// Asks the API server. Belongs to the event loop that it was made in.
    pub client: Client,
    /// Where it leads, for people: the server's address.
    pub server: String,
    /// The namespace that is meant when none is named.
    pub namespace: String,
}

impl Access {
    /// Opens it; nothing is asked yet.
    ///
    /// # Errors
    /// No kubeconfig, or one that makes no sense.
    pub async fn open(&self) -> Result<Cluster, SourceError> {
        // Another part of this process may have been first; it is the same provider.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let config = self.config().await?;
        let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| trouble::of(&error, "reach the cluster"))?;
        Ok(Cluster { client, server, namespace })
    }

    async fn config(&self) -> Result<Config, SourceError> {
        let mut config = match self.kubeconfig()? {
            Some(kubeconfig) => {
                let options = KubeConfigOptions {
                    context: self.context.clone(),
                    cluster: self.cluster.clone(),
                    user: self.user.clone(),
                };
                let read = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                read.map_err(|error| misread(&error))?
            }
            None => Config::incluster().map_err(|_| SourceError {
                what: "there is no kubeconfig, and this is no pod".into(),
                remedy: "name one with --kubeconfig FILE or KUBECONFIG, or make ~/.kube/config".into(),
            })?,
        };
        config.connect_timeout = Some(CONNECT);
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !self.groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.groups.clone());
        }
        Ok(config)
    }

    /// As `kubectl` finds it; `None` inside a pod that has none.
    fn kubeconfig(&self) -> Result<Option<Kubeconfig>, SourceError> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => match Kubeconfig::from_env() {
                Ok(None) => Kubeconfig::read(),
                Ok(Some(kubeconfig)) => Ok(kubeconfig),
                Err(error) => Err(error),
            },
        };
        match read {
            Ok(kubeconfig) => Ok(Some(kubeconfig)),
            // Nobody named one: perhaps this is a pod.
            Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)
                if self.kubeconfig.is_none() && std::env::var_os("KUBECONFIG").is_none() =>
            {
                Ok(None)
            }
            Err(error) => Err(misread(&error)),
        }
    }
}

fn misread(error: &KubeconfigError) -> SourceError {
    SourceError {
        what: trouble::plain(&format!("the kubeconfig cannot be used: {error}")),
        remedy: "kubectl config get-contexts; then --context NAME, or --kubeconfig FILE".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::wait;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c, cluster: {server: 'https://192.0.2.1:6443', insecure-skip-tls-verify: true}}
users:
- {name: u, user: {token: secret}}
contexts:
- {name: one, context: {cluster: c, user: u}}
- {name: two, context: {cluster: c, user: u, namespace: shop}}
";

    fn config(access: &Access) -> Result<Config, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, FILE).unwrap();
        wait(Access { kubeconfig: Some(path), ..access.clone() }.config())
    }

    #[test]
    fn the_context_gives_the_namespace_unless_one_is_named() {
        assert_eq!(config(&Access::default()).unwrap().default_namespace, "default");
        let two = Access { context: Some("two".into()), ..Access::default() };
        assert_eq!(config(&two).unwrap().default_namespace, "shop");
        let named = Access { namespace: Some("pay".into()), ..two };
        assert_eq!(config(&named).unwrap().default_namespace, "pay");
    }

    #[test]
    fn somebody_to_act_as_is_handed_on() {
        let access =
            Access { impersonate: Some("jo".into()), groups: vec!["ops".into()], ..Access::default() };
        let auth = config(&access).unwrap().auth_info;
        assert_eq!(
            (auth.impersonate.as_deref(), auth.impersonate_groups),
            (Some("jo"), Some(vec!["ops".into()]))
        );
    }

    #[test]
    fn what_is_wrong_with_a_kubeconfig_is_said_without_its_secrets() {
        let unknown = Access { context: Some("three".into()), ..Access::default() };
        let error = config(&unknown).unwrap_err();
        assert!(error.what.contains("three") && error.remedy.contains("get-contexts"), "{error:?}");
        assert!(!error.what.contains("secret"));
        let absent = Access { kubeconfig: Some("/nonexistent".into()), ..Access::default() };
        assert!(wait(absent.config()).unwrap_err().what.contains("/nonexistent"));
    }
}
