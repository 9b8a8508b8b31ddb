//! What cannot be read inside TLS is a number with its reason.

use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::server::{Nginx, NginxSetup, Server};
use apisec_tests::skip::find_program;
use apisec_tests::watch::{Watch, mark};

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
