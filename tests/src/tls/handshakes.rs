//! Who is let in, and who is not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::{HandshakeKind, ProtocolVersion, version};

use super::client::Client;
use super::{Files, Papers, Secure, must_fail, text};
use crate::report::Report;
use crate::server::Program;

/// Clients that come at once.
const CROWD: usize = 200;
const THREADS: usize = 20;

/// All checks.
pub fn run(program: &Program, papers: &Papers, options: &[&str], report: &mut Report) {
    let start = |extra: &[&str]| papers.start(program, &[options, extra].concat());
    let mut step = |name: &str, outcome: Result<()>| report.step(&format!("TLS, {name} {options:?}"), outcome);
    step("versions", start(&[]).and_then(|secure| versions(&secure, papers)));
    step("certificates of clients", start(&[]).and_then(|secure| demanded(&secure, papers)));
    step("optional ones", start(&["--tls-auth-clients", "optional"]).and_then(|secure| optional(&secure, papers)));
    step("none", start(&["--tls-auth-clients", "no"]).and_then(|secure| none(&secure, papers)));
    step("some versions only", start(&["--tls-protocols", "TLSv1.2"]).and_then(|secure| old_only(&secure, papers)));
    step("some suites only", some_suites(&start, papers));
    step("no handshake at all", start(&[]).and_then(|secure| garbage(&secure, papers)));
    step("slow handshakes", start(&["--tls-handshake-timeout", "1"]).and_then(|secure| slow(&secure, papers)));
    step("many at once", start(&[]).and_then(|secure| crowd(&secure, papers)));
    step("too many", start(&["--maxclients", "4"]).and_then(|secure| too_many(&secure, papers)));
    step("resumed sessions", resumed(&start, papers));
    step("encrypted keys", encrypted_key(program, papers, options));
    step("bad starts", bad_starts(program, papers, options));
}

fn versions(secure: &Secure, papers: &Papers) -> Result<()> {
    for (version, name) in [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)] {
        let client = Client::with_versions(&papers.authority.cert, Some(&papers.client), &[version])?;
        let mut conn = client.conn(secure.port)?;
        conn.must("SET key value")?;
        let spoken = conn.tls().context("it is over TLS")?.conn.protocol_version();
        ensure!(spoken == Some(name), "{spoken:?} is spoken");
    }
    let listener = secure.info("listener1")?;
    ensure!(listener == format!("name=tls,bind=*,bind=-::*,port={}", secure.port), "listener1 is {listener}");
    // The other port is as it was, and does not speak TLS.
    secure.server.conn()?.must("GET key")?;
    must_fail("TLS on the other port", papers.trusted()?.conn(secure.server.port()))
}

fn demanded(secure: &Secure, papers: &Papers) -> Result<()> {
    papers.trusted()?.conn(secure.port)?;
    let refused = |what: &str, own: Option<&Files>, logged: &str| -> Result<()> {
        must_fail(what, Client::new(&papers.authority.cert, own)?.conn(secure.port))?;
        secure.expect_logged(&format!("Error accepting a client connection: {logged}"))
    };
    refused("no certificate", None, "peer sent no certificates (addr=127.0.0.1:")?;
    refused("a stranger's", Some(&papers.stranger.issue("foreign")?), "invalid peer certificate: UnknownIssuer")?;
    refused(
        "an expired one",
        Some(&papers.authority.issue_expired("late")?),
        "invalid peer certificate: certificate expired",
    )?;
    refused(
        "a server's",
        Some(&papers.authority.issue_for_servers("other")?),
        "invalid peer certificate: certificate does not allow",
    )?;
    // Who was refused is no client any more.
    crate::control::poll(|| "one client".into(), || Ok(secure.info("connected_clients")? == "1"))
}

fn optional(secure: &Secure, papers: &Papers) -> Result<()> {
    papers.trusted()?.conn(secure.port)?;
    papers.anonymous()?.conn(secure.port)?;
    let foreign = papers.stranger.issue("foreign")?;
    must_fail("a stranger's", Client::new(&papers.authority.cert, Some(&foreign))?.conn(secure.port))
}

fn none(secure: &Secure, papers: &Papers) -> Result<()> {
    papers.anonymous()?.conn(secure.port)?;
    papers.trusted()?.conn(secure.port)?;
    // Nobody asks for it.
    Client::new(&papers.authority.cert, Some(&papers.stranger.issue("foreign")?))?.conn(secure.port)?;
    must_fail("a server that is not trusted", Client::new(&papers.stranger.cert, None)?.conn(secure.port))
}

fn old_only(secure: &Secure, papers: &Papers) -> Result<()> {
    let only = |version| Client::with_versions(&papers.authority.cert, Some(&papers.client), &[version]);
    only(&version::TLS12)?.conn(secure.port)?;
    must_fail("TLS 1.3", only(&version::TLS13)?.conn(secure.port))?;
    secure.server.conn()?.must("CONFIG SET tls-protocols TLSv1.3")?;
    only(&version::TLS13)?.conn(secure.port)?;
    must_fail("TLS 1.2", only(&version::TLS12)?.conn(secure.port))
}

fn some_suites(start: &impl Fn(&[&str]) -> Result<Secure>, papers: &Papers) -> Result<()> {
    let secure = start(&[
        "--tls-ciphers",
        "ECDHE+AES128:!aRSA",
        "--tls-ciphersuites",
        "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
        "--tls-prefer-server-ciphers",
        "yes",
    ])?;
    for (version, wanted) in [
        (&version::TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (&version::TLS13, "TLS13_CHACHA20_POLY1305_SHA256"),
    ] {
        let client = Client::with_versions(&papers.authority.cert, Some(&papers.client), &[version])?;
        let mut conn = client.conn(secure.port)?;
        let suite = conn.tls().context("it is over TLS")?.conn.negotiated_cipher_suite();
        let suite = format!("{:?}", suite.context("a suite")?.suite());
        ensure!(suite == wanted, "{suite} is used");
    }
    Ok(())
}

fn garbage(secure: &Secure, papers: &Papers) -> Result<()> {
    for bytes in [&b"PING\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 2, 0], &[0; 4096]]
    {
        let mut socket = TcpStream::connect(("127.0.0.1", secure.port))?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.write_all(bytes)?;
        if bytes.len() == 5 {
            // A record that never comes to its end.
            socket.shutdown(std::net::Shutdown::Write)?;
        }
        let mut answer = Vec::new();
        // The rest may have been thrown away with a reset.
        let _ = socket.read_to_end(&mut answer);
        ensure!(!answer.windows(4).any(|window| window == b"PONG"), "a command was answered: {answer:?}");
    }
    secure.expect_logged("Error accepting a client connection: received corrupt message of type InvalidContentType")?;
    secure.expect_logged("Error accepting a client connection: the peer closed it during the handshake")?;
    papers.trusted()?.conn(secure.port)?;
    crate::control::poll(|| "one client".into(), || Ok(secure.info("connected_clients")? == "1"))
}

fn slow(secure: &Secure, papers: &Papers) -> Result<()> {
    let mut there = papers.trusted()?.conn(secure.port)?;
    let started = Instant::now();
    let mut silent = TcpStream::connect(("127.0.0.1", secure.port))?;
    let mut slow = TcpStream::connect(("127.0.0.1", secure.port))?;
    for socket in [&silent, &slow] {
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    }
    // The head of a record, then a byte at a time until the server has enough of it.
    slow.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])?;
    slow.set_read_timeout(Some(Duration::from_millis(20)))?;
    loop {
        let _ = slow.write_all(&[0]);
        match slow.read(&mut [0; 64]) {
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            _ => break,
        }
        ensure!(started.elapsed() < Duration::from_secs(20), "a slow handshake goes on");
    }
    ensure!(matches!(silent.read(&mut [0; 64]), Ok(0) | Err(_)), "the silent one was told something");
    let took = started.elapsed();
    ensure!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&took), "they were closed after {took:?}");
    secure.expect_logged("Error accepting a client connection: the handshake took too long (addr=")?;
    // Whoever is through may be silent for as long as they like.
    there.must("PING")?;
    Ok(())
}

fn crowd(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    let (client, port) = (&client, secure.port);
    let all: Vec<Result<()>> = std::thread::scope(|scope| {
        let some = move || -> Result<()> {
            for _ in 0..CROWD / THREADS {
                client.conn(port)?.must("INCR crowd")?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(some)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    all.into_iter().collect::<Result<Vec<()>>>()?;
    let count = secure.server.conn()?.must("GET crowd")?;
    ensure!(count == crate::resp::Reply::Bulk(CROWD.to_string().into_bytes()), "{count:?} of {CROWD} came through");
    Ok(())
}

fn too_many(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    let kept = (0..3).map(|_| client.conn(secure.port)).collect::<Result<Vec<_>>>()?;
    let mut control = secure.server.conn()?;
    // There is room for one that was refused because of a connection that is closing.
    crate::control::poll(
        || "refusal".into(),
        || {
            let refused = client.conn(secure.port).is_err();
            Ok(refused && crate::control::info(&mut control, "stats", "rejected_connections")? > 0)
        },
    )?;
    drop(kept);
    crate::control::poll(|| "room".into(), || Ok(client.conn(secure.port).is_ok()))
}

fn resumed(start: &impl Fn(&[&str]) -> Result<Secure>, papers: &Papers) -> Result<()> {
    for (caching, wanted) in [("yes", HandshakeKind::Resumed), ("no", HandshakeKind::Full)] {
        let secure = start(&["--tls-session-caching", caching])?;
        for version in [&version::TLS12, &version::TLS13] {
            let client = Client::with_versions(&papers.authority.cert, Some(&papers.client), &[version])?;
            let mut kinds = Vec::new();
            for _ in 0..3 {
                let mut conn = client.conn(secure.port)?;
                kinds.push(conn.tls().context("it is over TLS")?.conn.handshake_kind());
            }
            ensure!(kinds[2] == Some(wanted), "caching {caching}, {version:?}: {kinds:?}");
        }
    }
    Ok(())
}

/// A key that OpenSSL has encrypted.
fn encrypted_key(program: &Program, papers: &Papers, options: &[&str]) -> Result<()> {
    let key = papers.dir.join("encrypted.key");
    let made = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:secret", "-in"])
        .arg(&papers.server.key)
        .arg("-out")
        .arg(&key)
        .status();
    match made {
        Ok(status) => ensure!(status.success(), "openssl: {status}"),
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("\n!!! SKIPPED encrypted keys: openssl: {error}\n");
            return Ok(());
        }
        Err(error) => return Err(error).context("run openssl"),
    }
    let with = |password: &str| {
        papers.start(program, &[options, &["--tls-key-file", text(&key), "--tls-key-file-pass", password]].concat())
    };
    papers.trusted()?.conn(with("secret")?.port)?;
    must_fail("a wrong password", with("wrong"))
}

fn bad_starts(program: &Program, papers: &Papers, options: &[&str]) -> Result<()> {
    let (cert, key) = (text(&papers.server.cert), text(&papers.server.key));
    let (authority, other_key) = (text(&papers.authority.cert), text(&papers.client.key));
    let good = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", authority];
    for (extra, logged) in [
        (&["--tls-cert-file", cert][..], "tls-key-file is not set"),
        (&["--tls-key-file", key], "tls-cert-file is not set"),
        (&["--tls-cert-file", cert, "--tls-key-file", key], "tls-auth-clients needs tls-ca-cert-file or"),
        (&[&good[..], &["--tls-key-file", other_key]].concat(), "is not that of the certificate"),
        (&[&good[..], &["--tls-key-file", cert]].concat(), "The private key can't be loaded from"),
        (&[&good[..], &["--tls-cert-file", "/nonexistent"]].concat(), "No such file or directory"),
        (&[&good[..], &["--tls-ca-cert-file", key]].concat(), "it holds no PEM certificate"),
        (&[&good[..], &["--tls-protocols", "TLSv1.1 TLSv1.2"]].concat(), "TLSv1.1 is obsolete"),
        (&[&good[..], &["--tls-protocols", "SSLv3"]].concat(), "'SSLv3' is unknown"),
        (&[&good[..], &["--tls-ciphers", "AES128-SHA"]].concat(), "tls-ciphers selects no cipher suite"),
        (&[&good[..], &["--tls-ciphersuites", "x"]].concat(), "tls-ciphersuites selects no cipher suite"),
    ] {
        let port = crate::server::free_port()?.to_string();
        let (code, output) = program.end_of(&[options, &["--tls-port", &port], extra].concat())?;
        ensure!(code == Some(1) && output.contains(logged), "{extra:?}: {code:?}\n{output}");
        ensure!(output.contains("TLS can't be configured"), "{extra:?}: {output}");
    }
    Ok(())
}
