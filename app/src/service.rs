//! What the service answers, and what it does around every request: log it,
//! and turn a panic into a 500.

use std::{env, panic::AssertUnwindSafe, time::Instant};

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt;
use serde::Serialize;

use crate::log;

/// Set to 1, this adds a route that panics, so that the tests can show the
/// shipped binary surviving one. Unset, the route does not exist.
const TEST_PANIC: &str = "APP_TEST_PANIC";

#[derive(Serialize)]
struct Greeting {
    message: &'static str,
    status: &'static str,
}

pub fn routes() -> Router {
    let mut router = Router::new().route("/", get(greet));
    if env::var_os(TEST_PANIC).is_some_and(|value| value == "1") {
        router = router.route("/panic", get(panic_on_request));
    }
    // The layer added last is the outermost: the log sees the 500 of a panic.
    router
        .layer(from_fn(recover))
        .fallback(StatusCode::NOT_FOUND)
        .layer(from_fn(log_request))
}

async fn greet() -> Json<Greeting> {
    Json(Greeting {
        message: "Hello goni!",
        status: "success",
    })
}

async fn panic_on_request() -> StatusCode {
    panic!("{TEST_PANIC} asked for this")
}

async fn recover(request: Request, next: Next) -> Response {
    // Nothing outlives the request that a half-done handler could have spoilt.
    AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        // The panic hook has already said on stderr what happened.
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn log_request(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let uri = request.uri().clone();
    let response = next.run(request).await;
    log(format_args!(
        "{method} {} {} {}us",
        uri.path(),
        response.status().as_u16(),
        started.elapsed().as_micros(),
    ));
    response
}
