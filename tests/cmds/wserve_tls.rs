//! Who is refused over TLS, what both ends are told, and what is told on the server's log.

use crate::server::{Process, Serving, ready, tell};
use crate::support::Sandbox;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

/// What `wstat` of a woof at this server says, with the keys in `keys`.
fn refused(sandbox: &Sandbox, keys: &str, name: &str) -> String {
    let run = sandbox.sh(&format!("WOOF_KEYS={keys} wstat '{name}' --timeout 5s"));
    assert_eq!(run.status, 2, "{run:?}");
    run.stderr
}

/// A server with the woof `farm/temp`.
fn serving(sandbox: &Sandbox) -> (Serving, String) {
    let serving = Serving::tls(sandbox);
    let name = serving.name("farm/temp");
    tell(sandbox, &["wput", "--create", &name, "1"], b"").done();
    (serving, name)
}

#[test]
fn an_unknown_authority_is_refused_at_both_ends() {
    let sandbox = ready();
    let (serving, name) = serving(&sandbox);
    sandbox.sh("wkey --keys other init && wkey --keys other add mallory").done();
    let said = refused(&sandbox, "other", &name);
    assert_eq!(
        said,
        format!(
            "wstat: woof://{}: the authority of the certificate of the server is not ours\n",
            serving.address
        )
    );
    // One who trusts our authority, and shows a certificate of another.
    sandbox.sh("cp -r other mixed && cp .keys/authority.pem .keys/revoked.pem mixed/ && rm -f mixed/authority.key").done();
    let said = refused(&sandbox, "mixed", &name);
    assert!(said.contains("authority"), "{said}");
    serving.logs("handshake failed from=127.0.0.1:");
    serving.stop();
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let sandbox = ready();
    sandbox.sh("wkey host edge7.lan && wkey export edge7.lan | wkey --keys away import -").done();
    let serving = Serving::start(&sandbox, &["--listen", "127.0.0.1:0", "--keys", "away"]);
    let name = serving.name("farm/temp");
    let said = refused(&sandbox, ".keys", &name);
    assert_eq!(
        said,
        format!("wstat: woof://{}: certificate is for \"edge7.lan\", not \"127.0.0.1\"\n", serving.address)
    );
    serving.stop();
}

#[test]
fn a_revoked_identity_is_refused_and_loses_its_open_connection() {
    let sandbox = ready();
    let (serving, name) = serving(&sandbox);
    sandbox.sh("wkey add alice && wkey export alice | wkey --keys alice import -").done();
    sandbox.run("wattr", &[&serving.name("farm"), "grant", "user", "alice", "read"], b"").done();
    let mut command = sandbox.command("wtail");
    command.args([&name, "--from", "1", "-u"]).env("WOOF_KEYS", sandbox.dir().join("alice"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = Process::start(&mut command);
    let mut first = String::new();
    // Open to the end: a follow ends when nobody reads it any more.
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap());
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "1\n");
    sandbox.run("wkey", &["revoke", "alice"], b"").done();
    serving.process.signal(rustix::process::Signal::HUP);
    serving.logs("connection ended peer=\"user alice\" how=tls");
    serving.logs("the certificate of user alice is revoked");
    let status = woof_kit::wait(&mut tail.0);
    let mut said = String::new();
    tail.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("revoked"), "{said}");
    // The next connection does not come as far.
    let said = refused(&sandbox, "alice", &name);
    assert!(said.contains("the server says that our certificate is revoked"), "{said}");
    serving.logs("the certificate of the client is revoked");
    serving.stop();
}

#[test]
fn an_expired_certificate_is_refused() {
    let sandbox = ready();
    let (serving, name) = serving(&sandbox);
    // A day that is over, which wkey does not make.
    let made = sandbox.sh(
        "set -e; cp -r .keys late; cd late; rm -f users/*; touch index; \
         printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nnew_certs_dir=.\\nrand_serial=yes\\ndefault_md=sha256\\n\
           policy=p\\nx509_extensions=e\\n[p]\\ncommonName=supplied\\n[e]\\nextendedKeyUsage=clientAuth\\n' > conf; \
         openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -subj /CN=late -out csr; \
         openssl ca -batch -notext -config conf -cert authority.pem -keyfile authority.key -in csr -out cert \
           -startdate 20200101000000Z -enddate 20200102000000Z",
    );
    if made.status != 0 {
        woof_kit::skip("needs an openssl that makes a certificate which expired");
        serving.stop();
        return;
    }
    // Our own clients do not even show such a one.
    let script = "echo | openssl s_client -tls1_3 -alpn woof/1 -cert late/cert -key late/key -connect";
    sandbox.sh(&format!("{script} {} > /dev/null 2>&1", serving.address));
    serving.logs("error=\"the certificate of the client expired at 2020-01-02");
    assert_eq!(sandbox.run("wget", &[&name, "..", "-u"], b"").done(), "1\n");
    serving.stop();
}

#[test]
fn who_shows_no_certificate_or_speaks_an_older_tls_or_none_is_refused() {
    let sandbox = ready();
    let (serving, name) = serving(&sandbox);
    let mut plain = TcpStream::connect(&serving.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    serving.logs("error=\"not TLS: plain text, or something else, on the TLS port\"");

    if sandbox.sh("openssl version > /dev/null").status == 0 {
        let connect = |flag: &str| {
            let script =
                format!("echo | openssl s_client -connect {} {flag} -alpn woof/1 2>&1", serving.address);
            sandbox.sh(&script).text().to_owned()
        };
        assert!(connect("-tls1_2").contains("alert protocol version"));
        serving.logs("error=\"the client does not speak TLS 1.3, and older versions are not spoken here\"");
        connect("-tls1_3");
        serving.logs("error=\"the client gave no certificate\"");
    } else {
        woof_kit::skip("TLS 1.2, and no certificate: needs openssl");
    }
    // Nobody else was harmed.
    assert_eq!(sandbox.run("wget", &[&name, "..", "-u"], b"").done(), "1\n");
    serving.stop();
}

#[test]
fn each_right_that_is_missing_is_named() {
    let sandbox = ready();
    let (serving, name) = serving(&sandbox);
    sandbox.sh("wkey add alice && wkey export alice | wkey --keys alice import -").done();
    let farm = serving.name("farm");
    let alice = |script: &str| {
        let run = sandbox.sh(&format!("export WOOF_KEYS=alice; {script} > /dev/null"));
        assert_eq!(run.status, 2, "{run:?}");
        run.stderr
    };
    for (script, right) in [
        (format!("wget {name} .. -u"), "read"),
        (format!("wput {name} 2"), "put"),
        (format!("wcreate {}", serving.name("farm/new")), "create"),
        (format!("wrm {name}"), "remove"),
        (format!("wattr {farm} grant any all"), "admin"),
    ] {
        let said = alice(&script);
        assert!(said.contains(&format!("user alice has no right to {right}")), "{script}: {said}");
    }
    let log = serving.stop();
    assert_eq!(log.matches("WARN  request refused peer=\"user alice\" how=tls").count(), 5, "{log}");
}
