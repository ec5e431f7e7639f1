//! The numbers of a server over HTTP, for who collects them: `GET /metrics`, and nothing else.
//!
//! Failure contract: who asks for something else is told so; who sends too much, or is slow, is cut off. Neither touches the
//! clients of the server.

use super::listen::PAUSE;
use super::site::Site;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use woof_core::limits;

/// How long a client may take for its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// How long a connection may last.
const TIME: Duration = Duration::from_secs(10);

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// The text form of Prometheus.
const TEXT_FORM: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// Answers until the server stops.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>, mut stopping: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits::SCRAPES_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, from)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    tracing::warn!(%from, limit = limits::SCRAPES_MAX, "too many ask for metrics at once");
                    continue;
                };
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let _place = place;
                    match tokio::time::timeout(TIME, answer(stream, site)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(err)) => {
                            tracing::debug!(%from, error = %err, "metrics were not asked for as they should")
                        }
                        Err(_) => tracing::debug!(%from, "who asked for metrics was too slow"),
                    }
                });
            }
            Err(err) => {
                tracing::warn!(error = %err, "no connection for metrics was taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, site: Arc<Site>) -> hyper::Result<()> {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &site);
        async move { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits::SCRAPE_REQUEST_MAX)
        // Who collects comes every few seconds or minutes: nothing is kept open for that.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond<B>(request: &Request<B>, site: &Site) -> Response<String> {
    let plain = |status, text: &str| {
        let mut response = Response::new(text.to_owned());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "not here: the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics can be read, and nothing else\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(site.render_metrics());
    response.headers_mut().insert(CONTENT_TYPE, TEXT_FORM);
    response
}
