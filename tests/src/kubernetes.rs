//! A Kubernetes cluster: the server in `tests/kubernetes` with its nodes, or the real one that `APISEC_KUBECONFIG` names.
//!
//! The server speaks HTTPS and WebSocket, holds no code of the tool, and runs pods as real processes on nodes that are
//! network namespaces. It is not Kubernetes: garbage collection, times to live and admission of a real cluster are
//! claimed only where a real cluster was tried.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::script::{Dialogue, PYTHON, pypi};

/// The variable that names the kubeconfig of a real cluster.
pub const REAL: &str = "APISEC_KUBECONFIG";

/// A cluster, and how to reach it as its administrator.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    server: Option<Mutex<Dialogue>>,
    folder: TempDir,
}

impl Cluster {
    /// The real cluster that the environment names, or else a new one of ours without nodes; says which.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn any() -> Result<Self> {
        let Some(kubeconfig) = env::var_os(REAL).map(PathBuf::from) else { return Self::start() };
        println!("cluster: the real one of {}", kubeconfig.display());
        Ok(Self { kubeconfig, server: None, folder: tempfile::tempdir()? })
    }

    /// A new cluster of ours without nodes.
    ///
    /// # Errors
    /// When what the server needs is not installed.
    pub fn start() -> Result<Self> {
        let (folder, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let mut command = Command::new(PYTHON);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes")).arg(files.path());
        command.env("PYTHONPATH", pypi()).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut server = Dialogue::start(command, files)?;
        let first: Value = serde_json::from_str(&server.listen().context("the server: run make setup")?)?;
        let kubeconfig = first.get("kubeconfig").and_then(Value::as_str).context("a kubeconfig")?.into();
        println!("cluster: the server in tests/kubernetes");
        Ok(Self { kubeconfig, server: Some(Mutex::new(server)), folder })
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether it is a real one, which obeys no [orders](Self::order).
    pub fn is_real(&self) -> bool {
        self.server.is_none()
    }

    /// Says what our server is to do, as `tests/kubernetes/control.py` lists it.
    ///
    /// # Errors
    /// When it does not do it, and on a real cluster.
    pub fn order(&self, order: &Value) -> Result<Value> {
        let server = self.server.as_ref().context("a real cluster obeys nobody")?;
        let answer = server.lock().unwrap_or_else(PoisonError::into_inner).say(&order.to_string())?;
        let answer: Value = serde_json::from_str(&answer)?;
        match answer.get("error") {
            Some(error) => bail!("{order}: {error}"),
            None => Ok(answer),
        }
    }

    /// A node whose pods really run: in that namespace and its cgroup, at that address.
    ///
    /// # Errors
    /// As [`Cluster::order`].
    pub fn node(&self, name: &str, at: &Namespace, address: &str) -> Result<()> {
        let cgroup = at.cgroup().context("a node has a cgroup")?;
        let node =
            json!({"do": "node", "name": name, "netns": at.name(), "cgroup": cgroup, "address": address});
        self.order(&node).map(drop)
    }

    /// A kubeconfig of somebody who has no rights but those that roles give.
    ///
    /// # Errors
    /// As [`Cluster::order`].
    pub fn user(&self, name: &str) -> Result<PathBuf> {
        let answer = self.order(&json!({"do": "kubeconfig", "user": name}))?;
        let path = self.folder.path().join(format!("{name}.kubeconfig"));
        fs::write(&path, answer.get("text").and_then(Value::as_str).context("a kubeconfig")?)?;
        Ok(path)
    }

    /// The real `kubectl`, as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig);
        command.env("KUBECACHEDIR", self.folder.path().join("cache"));
        command
    }

    /// What `kubectl` says.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.try_ask(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// What `kubectl` says and how it ends.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_ask(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.kubectl(arguments).output()?)
    }

    /// Writes an object to a file for `-f`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, object: &Value) -> Result<String> {
        let path = self.folder.path().join(name);
        fs::write(&path, object.to_string())?;
        Ok(path.display().to_string())
    }
}
