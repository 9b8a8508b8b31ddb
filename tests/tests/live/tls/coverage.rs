//! What cannot be read inside TLS is a number with its reason.

use std::path::Path;
use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::server::{Nginx, NginxSetup, Server};
use apisec_tests::skip::find_program;
use apisec_tests::watch::{Watch, mark};

use super::rustls::{self, VAULT, ask};
use super::{NODE, paths, serve, url};
use crate::live::can_run;

/// A server in Java, whose TLS is its own; with four arguments a client that asks five times.
const JAVA: &str = r#"
import com.sun.net.httpserver.*;
import java.io.*;
import java.net.*;
import java.security.*;
import javax.net.ssl.*;
public class Vault {
  static void ask(String[] a) throws Exception {
    X509TrustManager all = new X509TrustManager() {
      public void checkClientTrusted(java.security.cert.X509Certificate[] c, String s) {}
      public void checkServerTrusted(java.security.cert.X509Certificate[] c, String s) {}
      public java.security.cert.X509Certificate[] getAcceptedIssuers() { return null; }
    };
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, new TrustManager[] { all }, null);
    for (int n = 0; n < 5; n++) {
      try (Socket socket = context.getSocketFactory().createSocket(a[0], Integer.parseInt(a[1]))) {
        socket.getOutputStream().write(("GET " + a[2] + " HTTP/1.0\r\n\r\n").getBytes());
        socket.getInputStream().readAllBytes();
      }
    }
  }
  public static void main(String[] a) throws Exception {
    if (a.length == 4) { ask(a); return; }
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(new FileInputStream(a[2]), "secret".toCharArray());
    KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
    keys.init(store, "secret".toCharArray());
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), null, null);
    HttpsServer server = HttpsServer.create(new InetSocketAddress(a[0], Integer.parseInt(a[1])), 0);
    server.setHttpsConfigurator(new HttpsConfigurator(context));
    server.createContext("/", exchange -> {
      byte[] body = "vault".getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
"#;

#[test]
fn java_is_said_to_be_blind_and_what_is_read_is_not() {
    let name = "tls::coverage::java_is_said_to_be_blind_and_what_is_read_is_not";
    if !can_run(name, &["java", "openssl", "nginx", "node", "curl"]) {
        return;
    }
    let mark = mark("coverage");
    let certificate = Certificate::new().unwrap();
    let store = certificate.store().unwrap();
    let java = Server::start(|address, folder| {
        let source = folder.join("Vault.java");
        std::fs::write(&source, JAVA)?;
        let mut command = Command::new(find_program("java").unwrap());
        command.arg(source).arg(address.ip().to_string()).arg(address.port().to_string()).arg(&store);
        Ok(command)
    })
    .unwrap();
    let nginx =
        Nginx::start(NginxSetup { certificate: Some(&certificate), ..NginxSetup::default() }).unwrap();
    let node = serve(&NODE, &certificate);
    let watch = Watch::snapshot().unwrap();
    let (host, port) = (java.address().ip().to_string(), java.address().port().to_string());
    let mut asks = Command::new(find_program("java").unwrap());
    asks.arg(java.folder().join("Vault.java")).args([&host, &port, &mark, "ask"]);
    assert!(asks.status().unwrap().success());
    // A client that can be read makes up for a server that cannot.
    for path in paths(&mark, "heard", 3) {
        curl(&["-k", &format!("https://{}{path}", java.address())]).unwrap();
    }
    for path in paths(&mark, "read", 5) {
        curl(&["-k", &url(&nginx, &path)]).unwrap();
        curl(&["-k", &format!("https://{}{path}", node.address())]).unwrap();
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let of = |port: u16| {
        let rows = snapshot.capture.coverage.iter();
        rows.filter(|row| row.workload.ends_with(&format!(":{port}"))).collect::<Vec<_>>()
    };

    let [heard, row] = of(java.address().port())[..] else { panic!("{:#?}", snapshot.capture.coverage) };
    assert_eq!(
        (heard.protocol.as_str(), heard.connections.decrypted, heard.connections.opaque),
        ("http1", 3, 0)
    );
    assert_eq!(
        (row.protocol.as_str(), row.library.as_str(), row.connections.opaque),
        ("tls", "Java", 5),
        "{row:?}"
    );
    assert!(row.bytes.opaque > 2000 && row.bytes.decrypted == 0 && row.reason.contains("Java"), "{row:?}");
    for server in [nginx.address(), node.address()] {
        let [row] = of(server.port())[..] else { panic!("{:#?}", snapshot.capture.coverage) };
        assert_eq!((row.connections.decrypted, row.connections.opaque), (5, 0), "{row:?}");
        assert!(row.bytes.decrypted > 500 && row.bytes.opaque == 0 && row.reason.is_empty(), "{row:?}");
        assert!(row.library.starts_with("OpenSSL") && !row.attached.is_empty(), "{row:?}");
    }
}

/// TLS 1.3 encrypts certificates; OpenSSL and GnuTLS tell them at either end, rustls does not.
#[test]
fn certificates_of_tls_1_3_are_known_where_a_library_tells_them() {
    let name = "tls::coverage::certificates_of_tls_1_3_are_known_where_a_library_tells_them";
    if !can_run(name, &["gnutls-serv", "wget", "node", "curl", "openssl"]) {
        return;
    }
    let mark = mark("certificates");
    let certificate = Certificate::new().unwrap();
    let (node, rust) = (serve(&NODE, &certificate), rustls::serve(Path::new(VAULT), &certificate));
    let gnutls = Server::start(|address, _| {
        let mut command = Command::new("gnutls-serv");
        command.args(["--http", "--quiet", "--disable-client-cert", "--port", &address.port().to_string()]);
        command.arg("--x509keyfile").arg(certificate.key()).arg("--x509certfile").arg(certificate.chain());
        Ok(command)
    })
    .unwrap();
    let (watch, coverage) = (Watch::calls().unwrap(), Watch::snapshot().unwrap());
    for path in paths(&mark, "curl", 2) {
        curl(&["-k", "--tlsv1.3", &format!("https://{}{path}", node.address())]).unwrap();
        curl(&["-k", "--tlsv1.3", &format!("https://{}{path}", rust.address())]).unwrap();
    }
    for path in paths(&mark, "wget", 2) {
        let mut wget = Command::new("wget");
        wget.args(["-q", "--no-check-certificate", "--no-proxy", "-O", "/dev/null"]);
        assert!(wget.arg(format!("https://{}{path}", gnutls.address())).status().unwrap().success());
    }
    for client in 0..3 {
        ask(Path::new(VAULT), rust.address(), &certificate, &paths(&mark, &format!("rust-{client}"), 2));
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(calls.len(), 2 * 2 + 2 + 3 * 2, "{calls:#?}");
    for call in &calls {
        let tls = call.tls.as_ref().unwrap();
        let told = if call.path.contains("/rust-") { "" } else { "O=Test, CN=shop.example" };
        assert_eq!((tls.version.as_str(), tls.subject.as_str()), ("1.3", told), "{call:?}");
    }
    let rows = coverage.end_with_snapshot().unwrap().capture.coverage;
    let of = |server: &Server| {
        let port = format!(":{}", server.address().port());
        rows.iter().find(|row| row.workload.ends_with(&port)).map(|row| row.certificates.clone())
    };
    assert!(of(&rust).unwrap().starts_with("3 TLS 1.3"), "{rows:#?}");
    assert_eq!((of(&node), of(&gnutls)), (Some(String::new()), Some(String::new())), "{rows:#?}");
}
