//! Which cluster and as whom, in the words of kubectl.

use apisec_probe::kubernetes::access::Access;
use clap::Args;
use std::path::PathBuf;

/// Longest name of an object that is also a label.
const MAX_NAME: usize = 63;

/// Options as kubectl has them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub(super) struct AccessOptions {
    /// Kubeconfig file [default: $KUBECONFIG, else ~/.kube/config, else the pod's own account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Cluster of the kubeconfig
    #[arg(long = "cluster", value_name = "NAME")]
    cluster_name: Option<String>,

    /// User of the kubeconfig
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Act as this user
    #[arg(long = "as", value_name = "NAME")]
    impersonate: Option<String>,

    /// Act as a member of this group; may be given several times
    #[arg(long = "as-group", value_name = "NAME", requires = "impersonate")]
    groups: Vec<String>,
}

impl AccessOptions {
    /// As the probe wants it.
    pub(super) fn access(&self, namespace: Option<String>) -> Access {
        Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster_name.clone(),
            user: self.user.clone(),
            namespace,
            impersonate: self.impersonate.clone(),
            groups: self.groups.clone(),
        }
    }
}

/// The name of a namespace: it is printed into YAML and commands.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = !text.starts_with('-') && !text.ends_with('-');
    if !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(inner) && edges {
        Ok(text.to_owned())
    } else {
        Err("a name has letters a to z, digits and -, and at most 63 of them".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_kubernetes_takes() {
        assert!(name("apisec-top").is_ok() && name("a1").is_ok());
        for wrong in ["", "-a", "a-", "A", "a.b", "a b", "a\n", &"x".repeat(64)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
