//! A self-signed certificate for one test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

/// The name in every certificate.
pub const NAME: &str = "shop.example";

/// Key and certificate in a folder of their own, which goes with it.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes one with `openssl`, for [`NAME`] and 127.0.0.1.
    ///
    /// # Errors
    /// When there is no openssl, or it fails.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("apisec-certificate-").tempdir()?;
        let certificate = Self { folder };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt"]);
        command.args(["ec_paramgen_curve:prime256v1", "-subj", &format!("/O=Test/CN={NAME}"), "-addext"]);
        command.arg(format!("subjectAltName=DNS:{NAME},IP:127.0.0.1"));
        // Without it the certificate is one of an authority, which rustls refuses of a server.
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.arg("-keyout").arg(certificate.key()).arg("-out").arg(certificate.chain());
        let output = command.output()?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(certificate)
    }

    /// The private key, in PEM.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Both in a PKCS #12 store with the password `secret`, as Java wants them.
    ///
    /// # Errors
    /// When openssl fails.
    pub fn store(&self) -> Result<PathBuf> {
        let store = self.folder.path().join("store.p12");
        let mut command = Command::new("openssl");
        command.args(["pkcs12", "-export", "-passout", "pass:secret", "-inkey"]).arg(self.key());
        command.arg("-in").arg(self.chain()).arg("-out").arg(&store);
        let output = command.output()?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(store)
    }

    /// The certificate, in PEM.
    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }
}
