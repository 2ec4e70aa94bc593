//! The app's routes. Every response has the header `X-Version`.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::watch;

use crate::behaviour::Behaviour;
use crate::stopped;

struct App {
    behaviour: Behaviour,
    started: Instant,
    stopping: watch::Receiver<bool>,
}

/// The routes of a version. `stopping` ends its streams, which would otherwise never drain.
pub(crate) fn router(behaviour: Behaviour, stopping: watch::Receiver<bool>) -> Router {
    let app = Arc::new(App { behaviour, started: Instant::now(), stopping });
    Router::new()
        .route("/", get(page))
        .route("/up", get(up))
        .route("/moved", get(moved))
        .route("/version", get(version))
        .route("/slow", get(slow))
        .route("/env", get(environment))
        .route("/events", get(events))
        .route("/ws", get(socket))
        .route("/assets/{*path}", get(asset))
        .layer(middleware::from_fn_with_state(app.clone(), stamp))
        .with_state(app)
}

async fn stamp(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&app.behaviour.version) {
        response.headers_mut().insert("x-version", value);
    }
    response
}

/// A page that refers to its version's assets.
async fn page(State(app): State<Arc<App>>) -> Html<String> {
    let version = &app.behaviour.version;
    Html(format!(
        "<!doctype html>\n<html><head><title>{version}</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/app-{version}.css\">\n\
         <script src=\"/assets/app-{version}.js\"></script></head>\n<body>version {version}</body></html>\n"
    ))
}

async fn up(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    let expired = app.behaviour.health_fail_after.is_some_and(|after| app.started.elapsed() >= after);
    if app.behaviour.healthy && !expired {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy on request\n")
    }
}

/// Redirects to a port where nothing listens, like an app that insists on HTTPS and doesn't serve it.
async fn moved() -> (StatusCode, [(header::HeaderName, &'static str); 1]) {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "https://localhost/up")])
}

async fn version(State(app): State<Arc<App>>) -> String {
    app.behaviour.version.clone()
}

/// Responds after `?ms=` milliseconds.
async fn slow(State(app): State<Arc<App>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let Ok(ms) = query.get("ms").map_or(Ok(1000), |ms| ms.parse()) else {
        return (StatusCode::BAD_REQUEST, "ms is no number\n").into_response();
    };
    tokio::time::sleep(Duration::from_millis(ms)).await;
    app.behaviour.version.clone().into_response()
}

/// The whole environment as a JSON object. With `?name=`, the exact bytes of one variable.
async fn environment(Query(query): Query<HashMap<String, String>>) -> Response {
    match query.get("name") {
        Some(name) => match std::env::var(name) {
            Ok(value) => value.into_response(),
            Err(_) => (StatusCode::NOT_FOUND, "not set\n").into_response(),
        },
        None => {
            let all: BTreeMap<String, String> = std::env::vars().collect();
            let json = serde_json::to_string_pretty(&all).unwrap_or_default();
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
    }
}

/// Server-sent events with the version and a number, ten per second, until the app stops.
async fn events(State(app): State<Arc<App>>) -> Response {
    let body = stream::unfold((app, 0u64), |(app, n)| async move {
        let mut stopping = app.stopping.clone();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(if n == 0 { 0 } else { 100 })) => {}
            () = stopped(&mut stopping) => return None,
        }
        let event = format!("id: {n}\ndata: {}\n\n", app.behaviour.version);
        Some((Ok::<_, Infallible>(event), (app, n + 1)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(body)).into_response()
}

/// A WebSocket that sends the version, echoes messages, and closes when the app stops.
async fn socket(State(app): State<Arc<App>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| converse(app, socket))
}

async fn converse(app: Arc<App>, mut socket: WebSocket) {
    let mut stopping = app.stopping.clone();
    if socket.send(Message::Text(app.behaviour.version.clone().into())).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            heard = socket.recv() => match heard {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            () = stopped(&mut stopping) => {
                let _ = socket.send(Message::Close(None)).await;
                return;
            }
        }
    }
}

/// Serves a file below `PUBLIC_PATH/assets`. It reads the file each time, because assets of other versions may appear
/// while the app runs.
async fn asset(State(app): State<Arc<App>>, Path(path): Path<String>) -> Response {
    let relative = PathBuf::from(&path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let file = FilePath::new(&app.behaviour.public).join("assets").join(&relative);
    match tokio::fs::read(&file).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, content_type(&relative))], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn content_type(path: &FilePath) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
