//! The HTTP side: `GET /metrics` and `GET /healthz`, and nothing else.
//!
//! Whoever can reach the port can send anything. So heads are short and have to come in time, a connection lasts for a while only, few
//! are open at once, and one scrape is under way at a time: those that come meanwhile get what it brings.

use super::{ask, exposition};
use crate::server::Server;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore, oneshot};

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// The head of a request, bytes.
const HEAD_MAX: usize = 8 << 10;
/// How long a head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last, whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a reactor may take to write a page of INFO.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer is good for others who ask.
const FRESH: Duration = Duration::from_millis(200);

/// The last answer, and when it was given.
type Latest = Arc<Mutex<Option<(Instant, Bytes)>>>;

/// Serves until `stopped` comes or its sender is gone.
pub fn serve(server: &'static Server, listener: TcpListener, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return crate::log::warning(&format!("The metrics endpoint can't be served: {error}")),
    };
    runtime.block_on(async {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::spawn(accept(server, listener))),
            Err(error) => crate::log::warning(&format!("The metrics endpoint can't be served: {error}")),
        }
        let _ = stopped.await;
    });
    // Connections end with the runtime.
}

async fn accept(server: &'static Server, listener: tokio::net::TcpListener) {
    let (latest, slots) = (Latest::default(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    loop {
        let slot = slots.clone().acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Descriptors have run out, most likely.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let latest = latest.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let service = service_fn(move |request| answer(server, latest.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // What goes wrong with a connection concerns nobody else.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
        });
    }
}

async fn answer(
    server: &'static Server,
    latest: Latest,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/healthz") {
        return Ok(plain(StatusCode::NOT_FOUND, "There are /metrics and /healthz.\n"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is allowed.\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    if path == "/healthz" {
        return Ok(match server.loading.is_on() {
            true => plain(StatusCode::SERVICE_UNAVAILABLE, "loading\n"),
            false => plain(StatusCode::OK, "ok\n"),
        });
    }
    let mut response = Response::new(Full::new(scrape(server, &latest).await));
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// What `/metrics` tells.
async fn scrape(server: &'static Server, latest: &Latest) -> Bytes {
    let mut latest = latest.lock().await;
    if let Some((at, text)) = &*latest
        && at.elapsed() < FRESH
    {
        return text.clone();
    }
    let page = tokio::time::timeout(PAGE_TIMEOUT, ask(server)).await.ok().and_then(Result::ok);
    let text = Bytes::from(exposition::text(server, page.as_deref()));
    *latest = Some((Instant::now(), text.clone()));
    text
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}
