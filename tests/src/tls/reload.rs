//! New certificates and parameters while the server runs.

use anyhow::{Context, Result, ensure};

use super::client::Client;
use super::{Papers, Secure, must_fail, text};
use crate::conn::Conn;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::Program;

/// All checks.
pub fn run(program: &Program, papers: &Papers, report: &mut Report) {
    let start = |extra: &[&str]| papers.start(program, extra);
    let mut step = |name: &str, outcome: Result<()>| report.step(&format!("TLS, {name}"), outcome);
    step("new certificates", start(&[]).and_then(|secure| certificates(&secure, papers)));
    step("bad files", start(&[]).and_then(|secure| bad_files(&secure, papers)));
    step("ports", start(&[]).and_then(|secure| ports(&secure, papers)));
    step("turned on later", turned_on_later(program, papers));
}

/// The serial number, so to speak, of the certificate that the server shows.
fn shown(client: &Client, port: u16) -> Result<Vec<u8>> {
    let mut conn = client.conn(port)?;
    let chain = conn.tls().context("it is over TLS")?.conn.peer_certificates().context("a certificate")?;
    Ok(chain[0].to_vec())
}

fn certificates(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.anonymous()?;
    let mut control = secure.server.conn()?;
    control.must("CONFIG SET tls-auth-clients no")?;
    let mut old = client.conn(secure.port)?;
    let before = shown(&client, secure.port)?;
    let second = papers.authority.issue("second")?;
    let (cert, key) = (text(&second.cert), text(&second.key));
    control.must(&format!("CONFIG SET tls-cert-file {cert} tls-key-file {key}"))?;
    let after = shown(&client, secure.port)?;
    ensure!(before != after, "the old certificate is still shown");
    old.must("PING").context("a connection from before")?;
    // The same names, with other files behind them: setting one again is enough.
    papers.authority.issue("second")?;
    control.must(&format!("CONFIG SET tls-cert-file {cert}"))?;
    ensure!(after != shown(&client, secure.port)?, "the file was not read again");
    // Whom the server trusts.
    let foreign = papers.stranger.issue("foreign")?;
    let foreign = Client::new(&papers.authority.cert, Some(&foreign))?;
    control.must("CONFIG SET tls-auth-clients yes")?;
    must_fail("a stranger", foreign.conn(secure.port))?;
    control.must(&format!("CONFIG SET tls-ca-cert-file {}", text(&papers.stranger.cert)))?;
    foreign.conn(secure.port)?;
    must_fail("whom it trusted before", papers.trusted()?.conn(secure.port))?;
    // Both, by way of a folder with other things in it.
    let folder = papers.dir.join("authorities");
    std::fs::create_dir_all(&folder)?;
    for (name, authority) in [("a.pem", &papers.authority), ("b.pem", &papers.stranger)] {
        std::fs::copy(&authority.cert, folder.join(name))?;
    }
    std::fs::write(folder.join("README"), "nothing")?;
    control.must(&format!("CONFIG SET tls-ca-cert-file \"\" tls-ca-cert-dir {}", text(&folder)))?;
    foreign.conn(secure.port)?;
    papers.trusted()?.conn(secure.port)?;
    old.must("PING").context("a connection from before")?;
    Ok(())
}

fn refused(control: &mut Conn, line: &str) -> Result<()> {
    let reply = control.line(line)?;
    let argument = line.split(' ').nth(2).unwrap_or_default();
    let wanted = format!(
        "ERR CONFIG SET failed (possibly related to argument '{argument}') - \
         Unable to update TLS configuration. Check server logs."
    );
    ensure!(reply == Reply::Error(wanted.into_bytes()), "{line}: {}", crate::show::show(&reply));
    Ok(())
}

fn bad_files(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    let mut control = secure.server.conn()?;
    let before = control.must("CONFIG GET tls-*")?;
    let cert = shown(&client, secure.port)?;
    for line in [
        "CONFIG SET tls-cert-file /nonexistent",
        &format!("CONFIG SET tls-cert-file {}", text(&papers.server.key)),
        &format!("CONFIG SET tls-cert-file {}", text(&papers.client.cert)),
        &format!("CONFIG SET tls-key-file {}", text(&papers.client.key)),
        "CONFIG SET tls-key-file \"\"",
        "CONFIG SET tls-ca-cert-file /nonexistent",
        "CONFIG SET tls-ca-cert-file \"\"",
        "CONFIG SET tls-ca-cert-dir /nonexistent",
        "CONFIG SET tls-protocols TLSv1.1",
        "CONFIG SET tls-protocols nonsense",
        "CONFIG SET tls-ciphers nonsense",
        "CONFIG SET tls-ciphersuites nonsense",
    ] {
        refused(&mut control, line)?;
        ensure!(shown(&client, secure.port)? == cert, "{line}: another certificate is shown");
    }
    // One that is good on its own, together with one that is not.
    let second = papers.authority.issue("second")?;
    let (good, key) = (text(&second.cert), text(&second.key));
    let both = format!("CONFIG SET tls-cert-file {good} tls-key-file {key} maxclients 4000000000");
    ensure!(control.line(&both)?.is_error(), "so many clients are possible");
    ensure!(shown(&client, secure.port)? == cert, "what was undone is shown");
    ensure!(control.must("CONFIG GET tls-*")? == before, "the parameters have changed");
    Ok(())
}

fn ports(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    let mut control = secure.server.conn()?;
    let mut old = client.conn(secure.port)?;
    let moved = crate::server::free_port()?;
    control.must(&format!("CONFIG SET tls-port {moved}"))?;
    crate::control::poll(|| "the new port".into(), || Ok(client.conn(moved).is_ok()))?;
    must_fail("the old port", client.conn(secure.port))?;
    // A port that is taken is refused, and nothing changes.
    let reply = control.line(&format!("CONFIG SET tls-port {}", secure.server.port()))?;
    ensure!(crate::show::show(&reply).contains("Unable to listen on this port"), "{}", crate::show::show(&reply));
    client.conn(moved)?;
    // Over TLS alone.
    let mut inside = client.conn(moved)?;
    inside.must("CONFIG SET port 0")?;
    crate::control::poll(|| "the end of the other port".into(), || Ok(secure.server.conn().is_err()))?;
    ensure!(crate::show::show(&inside.must("INFO server")?).contains(&format!("tcp_port:{moved}")), "tcp_port");
    inside.must(&format!("CONFIG SET port {}", secure.server.port()))?;
    crate::control::poll(|| "the other port".into(), || Ok(secure.server.conn().is_ok()))?;
    inside.must("CONFIG SET tls-port 0")?;
    crate::control::poll(|| "the end of TLS".into(), || Ok(client.conn(moved).is_err()))?;
    inside.must("PING")?;
    old.must("PING")?;
    // Other addresses, for both ports.
    control.must(&format!("CONFIG SET tls-port {moved}"))?;
    crate::control::poll(|| "the port again".into(), || Ok(client.conn(moved).is_ok()))?;
    control.must("CONFIG SET bind 127.0.0.1")?;
    crate::control::poll(|| "both ports".into(), || Ok(client.conn(moved).is_ok() && secure.server.conn().is_ok()))
}

fn turned_on_later(program: &Program, papers: &Papers) -> Result<()> {
    let server = program.start(&[])?;
    let port = crate::server::free_port()?;
    let mut control = server.conn()?;
    refused(&mut control, &format!("CONFIG SET tls-port {port}"))?;
    // Nothing is looked at while there is no TLS port.
    control.must("CONFIG SET tls-cert-file /nonexistent")?;
    refused(&mut control, &format!("CONFIG SET tls-port {port}"))?;
    let (cert, key) = (text(&papers.server.cert), text(&papers.server.key));
    control.must(&format!("CONFIG SET tls-port {port} tls-cert-file {cert} tls-key-file {key} tls-auth-clients no"))?;
    crate::control::poll(|| "TLS".into(), || Ok(papers.anonymous()?.conn(port).is_ok()))
}
