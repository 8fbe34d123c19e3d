//! TLS: whether a certificate and its key can be served, and the handshake.
//!
//! Versions 1.2 and 1.3 with the cipher suites of rustls; nothing in the policy weakens them. Clients show no
//! certificate: a key says who they are.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::policy::{Finding, Tls, TlsPart};

/// Why a certificate and its key cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("it is not PEM: {0}")]
    Certificates(pem::Error),
    #[error("there is no private key in it")]
    NoKey,
    #[error("the private key in it is encrypted")]
    EncryptedKey,
    #[error("it is not PEM: {0}")]
    KeyFile(pem::Error),
    #[error("its private key cannot be used: {0}")]
    Key(rustls::Error),
    #[error("its first certificate cannot be read: {0}")]
    Certificate(rustls::Error),
    #[error("it is the key of another certificate")]
    OtherKey,
}

/// A connection that was opened, by what its peer speaks.
pub(super) enum Opened {
    /// TLS.
    Secured(Box<TlsStream<TcpStream>>),
    /// HTTP without it.
    InTheClear(TcpStream),
    /// Nothing.
    Closed,
}

/// Tries a certificate and its key: what makes it doubtful to serve them, or what makes it impossible.
pub fn examine(tls: &Tls, now: SystemTime) -> Result<Vec<Finding>, Finding> {
    acceptor(tls).map_err(Finding::from)?;
    let certificates = certificates(tls).map_err(Finding::from)?;
    Ok(certificates.first().and_then(|own| outdated(own, now)).into_iter().collect())
}

/// What opens connections with this certificate.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Fault> {
    let provider = Arc::new(ring::default_provider());
    let (certificates, key) = (certificates(tls)?, key(tls)?);
    // A key that ring refuses is told apart from a certificate that it does not fit.
    provider.key_provider.load_private_key(key.clone_key()).map_err(Fault::Key)?;
    let mut config =
        builder(provider).with_no_client_auth().with_single_cert(certificates, key).map_err(|error| {
            match error {
                rustls::Error::InconsistentKeys(_) => Fault::OtherKey,
                error => Fault::Certificate(error),
            }
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Opens a connection to a peer, who may not know that TLS is spoken here.
pub(super) async fn open(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<Opened> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Ok(Opened::Closed),
        // A method is a word; a handshake begins with 22 (RFC 8446, 5.1).
        _ if first[0].is_ascii_alphabetic() => Ok(Opened::InTheClear(stream)),
        _ => Ok(Opened::Secured(Box::new(acceptor.accept(stream).await?))),
    }
}

fn builder(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let builder = ServerConfig::builder_with_provider(provider);
    builder.with_safe_default_protocol_versions().expect("ring has cipher suites for both versions")
}

fn certificates(tls: &Tls) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = tls.certificate.text.expose();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates.map_err(Fault::Certificates)? {
        none if none.is_empty() => Err(Fault::NoCertificate),
        certificates => Ok(certificates),
    }
}

fn key(tls: &Tls) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = tls.key.text.expose();
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.contains("BEGIN ENCRYPTED PRIVATE KEY") => Fault::EncryptedKey,
        pem::Error::NoItemsFound => Fault::NoKey,
        error => Fault::KeyFile(error),
    })
}

/// Whether a certificate does not count at this time, or not any more.
fn outdated(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<Finding> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    // There is nothing to verify it by: only what is said of its time matters, which is looked at first.
    let verified = parsed.verify_for_usage(
        &[],
        &[],
        &[],
        UnixTime::since_unix_epoch(now),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    );
    let what = match verified.err()? {
        webpki::Error::CertExpired { not_after, .. } => format!("it has expired on {}", date(not_after)),
        webpki::Error::CertNotValidYet { not_before, .. } => {
            format!("it counts only from {}", date(not_before))
        }
        _ => return None,
    };
    let remedy = "clients refuse it: put one in its place that counts now".to_owned();
    Some(Finding { part: TlsPart::Certificate, what, remedy })
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |date| date.to_string())
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        let (part, remedy) = match &fault {
            Fault::NoCertificate | Fault::Certificates(_) | Fault::Certificate(_) => (
                TlsPart::Certificate,
                "a PEM file with the certificate of this host first, then those that signed it",
            ),
            Fault::EncryptedKey => (
                TlsPart::Key,
                "nobody is there to type its password: `openssl pkey -in KEY -out NEW` writes it without, for root only",
            ),
            Fault::NoKey | Fault::KeyFile(_) => {
                (TlsPart::Key, "a PEM file with the private key of the certificate")
            }
            Fault::Key(_) => (TlsPart::Key, "RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519"),
            Fault::OtherKey => (TlsPart::Key, "the key that the certificate was made for"),
        };
        Self { part, what: fault.to_string(), remedy: remedy.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::*;
    use crate::http::serve::Patience;
    use crate::http::testing::{House, policy_with_tls};
    use crate::policy::Pem;
    use crate::vocab::{AbsPath, Secret};

    const LIVE: &str = "GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n";

    fn made(years: std::ops::Range<i32>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn tls(certificate: &str, key: &str) -> Tls {
        let pem = |text| Pem { path: AbsPath::parse("/x").unwrap(), text: Secret::new(text) };
        Tls { certificate: pem(certificate), key: pem(key) }
    }

    /// What is said of them in the year 2026.
    fn said(certificate: &str, key: &str) -> Result<Vec<String>, (TlsPart, String)> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let found = examine(&tls(certificate, key), now);
        found
            .map(|doubts| doubts.into_iter().map(|one| one.what).collect())
            .map_err(|one| (one.part, one.what))
    }

    #[test]
    fn a_certificate_with_its_key_is_served_and_doubted_outside_of_its_time() {
        let (certificate, key) = made(2020..2040);
        assert_eq!(said(&certificate, &key), Ok(vec![]));
        let (certificate, key) = made(2020..2025);
        assert_eq!(said(&certificate, &key), Ok(vec!["it has expired on 2025-01-01T00:00:00Z".to_owned()]));
        let (certificate, key) = made(2030..2040);
        assert_eq!(said(&certificate, &key), Ok(vec!["it counts only from 2030-01-01T00:00:00Z".to_owned()]));
    }

    #[test]
    fn what_cannot_be_served_is_told_by_the_file_that_is_wrong() {
        let ((certificate, key), (_, other)) = (made(2020..2040), made(2020..2040));
        let broken =
            certificate.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA");
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let unreadable = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (certificate, key, part, what) in [
            ("", &*key, TlsPart::Certificate, "there is no certificate in it"),
            (&*key, &key, TlsPart::Certificate, "there is no certificate in it"),
            (&certificate[..200], &key, TlsPart::Certificate, "it is not PEM: "),
            (&broken, &key, TlsPart::Certificate, "its first certificate cannot be read: "),
            (&certificate, "", TlsPart::Key, "there is no private key in it"),
            (&certificate, &certificate, TlsPart::Key, "there is no private key in it"),
            (&certificate, &encrypted, TlsPart::Key, "the private key in it is encrypted"),
            (&certificate, unreadable, TlsPart::Key, "its private key cannot be used: "),
            (&certificate, &other, TlsPart::Key, "it is the key of another certificate"),
        ] {
            let (found, said) = said(certificate, key).unwrap_err();
            assert!(found == part && said.starts_with(what), "{found:?}: {said}, and not {part:?}: {what}");
        }
    }

    /// A policy with a certificate of its own, and that certificate.
    fn certified() -> (crate::policy::Policy, CertificateDer<'static>) {
        let place = tempfile::tempdir().unwrap();
        let (certificate, key) = made(2020..2040);
        let [certificate_file, key_file] = ["certificate", "key"].map(|name| place.path().join(name));
        fs::write(&certificate_file, &certificate).unwrap();
        fs::write(&key_file, key).unwrap();
        let policy = policy_with_tls(&certificate_file, &key_file);
        (policy, CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap())
    }

    async fn connect(
        address: SocketAddr,
        trusted: &CertificateDer<'static>,
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        connect_by(address, trusted, rustls::ALL_VERSIONS).await
    }

    async fn connect_by(
        address: SocketAddr,
        trusted: &CertificateDer<'static>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let client = client.with_protocol_versions(versions).unwrap();
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), stream).await
    }

    async fn lives(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
        stream.write_all(LIVE.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"{\"live\":true}") {
            assert_ne!(
                stream.read_buf(&mut answer).await.unwrap(),
                0,
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }

    #[tokio::test]
    async fn both_versions_are_spoken_and_of_http_only_the_first() {
        let house = House::new();
        let (policy, certificate) = certified();
        house.door.replace_policy(policy, vec![]);
        let (address, _stop, _served) = house.serve(Patience::default());
        for version in rustls::ALL_VERSIONS {
            let mut stream = connect_by(address, &certificate, &[version]).await.unwrap();
            let (_, connection) = stream.get_ref();
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
            lives(&mut stream).await;
        }
    }

    #[tokio::test]
    async fn a_new_policy_changes_the_certificate_for_new_connections_only() {
        let house = House::new();
        let (address, _stop, _served) = house.serve(Patience::default());
        let ((first_policy, first), (second_policy, second)) = (certified(), certified());
        let mut in_the_clear = TcpStream::connect(address).await.unwrap();
        lives(&mut in_the_clear).await;
        house.door.replace_policy(first_policy, vec![]);
        let mut before = connect(address, &first).await.unwrap();
        lives(&mut before).await;
        house.door.replace_policy(second_policy, vec![]);
        lives(&mut before).await;
        lives(&mut in_the_clear).await;
        assert!(connect(address, &first).await.is_err(), "the first certificate is not shown any more");
        lives(&mut connect(address, &second).await.unwrap()).await;
    }

    #[tokio::test]
    async fn whoever_does_not_speak_tls_is_told_so_and_whoever_is_silent_is_not_waited_for() {
        let house = House::new();
        house.door.replace_policy(certified().0, vec![]);
        let (address, _stop, _served) =
            house.serve(Patience { handshake: Duration::from_millis(100), ..Patience::default() });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(LIVE.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("this port speaks TLS: use https://"), "{answer}");
        for silent in [&b""[..], b"\x16\x03\x01"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(silent).await.unwrap();
            let ended = timeout(Duration::from_secs(5), stream.read(&mut [0])).await.unwrap();
            assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        }
    }
}
