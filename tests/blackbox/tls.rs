//! TLS as clients see it: who trusts the certificate is served as in the clear, and nobody else is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::client::{Client, ERAS, Era, plain};
use crate::daemon::{Daemon, Setup, binary};
use crate::policy::ALICE;
use crate::processes::{await_end, await_start, marker};

/// A setup that serves a certificate of its own, which is given too.
fn certified() -> (Setup, String) {
    let setup = Setup::new();
    let certificate = certify(&setup);
    let place = setup.outside().display().to_string();
    let tls = format!("[server]\ntls = {{ certificate = \"{place}/cert.pem\", key = \"{place}/key.pem\" }}");
    (setup.replace("[server]", &tls), certificate)
}

/// Puts a new certificate with its key where the setup has them.
fn certify(setup: &Setup) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let place = setup.outside().display().to_string();
    fs::write(format!("{place}/cert.pem"), certificate.pem()).unwrap();
    fs::write(format!("{place}/key.pem"), key.serialize_pem()).unwrap();
    fs::set_permissions(format!("{place}/key.pem"), Permissions::from_mode(0o600)).unwrap();
    certificate.pem()
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn a_renewed_certificate_is_served_after_a_reload_and_no_call_is_dropped() {
    let (setup, old) = certified();
    let daemon = setup.start();
    let (before, seconds) = (client(&daemon, Era::Modern, ALICE, &old), marker());
    let call = before.begin_run(&["sleep", &format!("1.{seconds}"), "&&", "echo", "finished"]);
    await_start(&format!("1.{seconds}"));
    let new = certify(daemon.setup());
    let output = daemon.reload();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(call.answer().printed(), ("finished\n", 0));
    let after = client(&daemon, Era::Modern, ALICE, &new);
    assert_eq!(after.run(&["echo", "renewed"]).stdout(), "renewed\n");
    assert!(client(&daemon, Era::Modern, ALICE, &old).begin("tools/list", json!({})).finish().is_err());
}

fn client(daemon: &Daemon, era: Era, key: &str, trusted: &str) -> Client {
    let url = format!("https://{}/mcp", daemon.address());
    Client::without_key(&url, era).trusting(trusted).header("authorization", &format!("Bearer {key}"))
}

#[test]
fn both_eras_are_served_and_their_streams_and_large_answers() {
    let (setup, certificate) = certified();
    let daemon = setup.start();
    let place = format!(" serving on https://{}; ", daemon.address());
    daemon.log.await_event("the start", |event| {
        event["message"].as_str().is_some_and(|text| text.contains(&place))
    });
    for era in ERAS {
        let mut client = client(&daemon, era, ALICE, &certificate);
        if era == Era::Legacy {
            client.initialize();
        }
        assert_eq!(client.run(&["echo", "hello"]).printed(), ("hello\n", 0), "{era:?}");
        let large = client.run(&["seq", "100000"]);
        assert_eq!(
            (large.stdout().len(), large.stdout().lines().last()),
            (588_895, Some("100000")),
            "{era:?}"
        );
        let input = "x".repeat(1 << 20);
        assert_eq!(client.feed(&["wc", "-c"], &input).stdout(), "1048576\n", "{era:?}");

        let seconds = marker();
        let call = client.begin_run(&["sleep", &seconds]);
        await_start(&seconds);
        client.cancel(call);
        await_end(&seconds);
    }
}

#[test]
fn a_key_counts_as_it_does_in_the_clear() {
    let (setup, certificate) = certified();
    let daemon = setup.start();
    let reply = client(&daemon, Era::Modern, "wrong", &certificate).request("tools/list", json!({}));
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_client_that_trusts_another_certificate_sends_no_key() {
    let (setup, _) = certified();
    let (_, other) = certified();
    let daemon = setup.start();
    let refused = client(&daemon, Era::Modern, ALICE, &other).begin("tools/list", json!({})).finish();
    let refused = refused.unwrap_err();
    assert!(refused.is_connect() && format!("{refused:?}").contains("InvalidCertificate"), "{refused:?}");
    assert!(!daemon.log.whole().contains("audit"), "{}", daemon.log.whole());
}

#[test]
fn a_client_in_the_clear_is_told_what_is_spoken_here() {
    let (setup, _) = certified();
    let daemon = setup.start();
    let reply = plain(Method::POST, &daemon.url("/mcp"), &[("x-api-key", ALICE)]);
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.body.contains("this port speaks TLS: use https://"), "{reply:?}");
    assert!(!daemon.log.whole().contains(ALICE));
}

#[test]
fn a_key_that_everybody_can_read_is_told_and_one_that_does_not_fit_is_not_served() {
    let (setup, _) = certified();
    setup.write_policy();
    let check = || {
        let output = Command::new(binary()).arg("check").arg(setup.policy_file()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let told = "`server.tls.key`: everybody on this host can read this file";
    let (code, said) = check();
    assert!(code == Some(0) && !said.contains(told) && !said.contains("not held (tls)"), "{said}");
    let key = setup.outside().join("key.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let (code, said) = check();
    assert!(code == Some(0) && said.contains(told), "{said}");

    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let finished = setup.run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("it is the key of another certificate"), "{}", finished.text);
    assert!(!finished.text.contains("PRIVATE KEY"), "{}", finished.text);
}
