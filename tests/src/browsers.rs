//! Browsers: clients that load pages with everything that the pages refer to, and keep the pages open.
//!
//! A browser may request the assets of a page it has seen at any later time, from any server and version. So each one
//! loads a page from one server after the other, and each time fetches every asset of every page it ever saw from all
//! servers. Each asset must exist and have the right content. A file with the same name in all versions must come
//! from the version that responds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{Answer, Connection, Target};
use crate::load::SAMPLES;

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two requests of a browser.
const PAUSE: Duration = Duration::from_millis(5);
/// Forgotten browsers end after this time.
const AT_MOST: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of pages per version that served them.
    pub pages: BTreeMap<String, u64>,
    /// The number of correct assets per version whose page refers to them.
    pub assets: BTreeMap<String, u64>,
    /// Assets of a version that another version served.
    pub bridged: u64,
    /// Requests without a complete and correct response.
    pub failed: u64,
    /// Descriptions of the first failures, at most [`SAMPLES`].
    pub samples: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        let (pages, assets) = (sum(&self.pages), sum(&self.assets));
        write!(
            f,
            "pages: {pages}  assets: {assets}, {} of them from another version  failed: {}",
            self.bridged, self.failed
        )?;
        for (version, count) in &self.pages {
            let assets = self.assets.get(version).copied().unwrap_or_default();
            write!(f, "\n{version}: {count} pages, {assets} assets")?;
        }
        for sample in &self.samples {
            write!(f, "\n- {sample}")?;
        }
        Ok(())
    }
}

/// Running browsers. Close them to get the report. Dropping them also stops them.
#[derive(Debug)]
pub struct Browsers {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    report: Mutex<Report>,
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, story: String) {
        let mut report = self.report();
        report.failed += 1;
        if report.samples.len() < SAMPLES {
            report.samples.push(story);
        }
    }
}

impl Browsers {
    /// Opens `count` browsers on these servers' pages (`http://ADDRESS/`).
    ///
    /// # Panics
    /// When an address isn't a plain `http://` one, or the runtime can't be made.
    #[must_use]
    pub fn open(count: usize, urls: &[String]) -> Self {
        Self::open_as(count, urls, None)
    }

    /// Like [`Browsers::open`], with another `Host` header.
    ///
    /// # Panics
    /// When an address isn't a plain `http://` one, or the runtime can't be made.
    #[must_use]
    pub fn open_as(count: usize, urls: &[String], host: Option<&str>) -> Self {
        let targets: Vec<Target> = urls.iter().map(|url| Target::parse(url, host, None)).collect();
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let started = Instant::now();
                let open = |n: usize| {
                    let servers = targets.iter().cloned().map(Connection::new).collect();
                    let browser = Browser { shared: theirs.clone(), servers, seen: BTreeSet::new() };
                    tokio::spawn(browser.run(n, started))
                };
                for browser in (0..count).map(open).collect::<Vec<_>>() {
                    let _ = browser.await;
                }
            });
        });
        Self { shared, thread: Some(thread) }
    }

    #[must_use]
    pub fn so_far(&self) -> Report {
        self.shared.report().clone()
    }

    /// Waits until a version served `times` pages.
    ///
    /// # Panics
    /// When they aren't within 20 s.
    #[track_caller]
    pub fn wait_for(&self, version: &str, times: u64) {
        let seen = |report: &Report| report.pages.get(version).is_some_and(|pages| *pages >= times);
        let end = Instant::now() + Duration::from_secs(20);
        while !seen(&self.so_far()) {
            assert!(Instant::now() < end, "{times} pages of {version} were never seen:\n{}", self.so_far());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[must_use]
    pub fn close(mut self) -> Report {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        self.end();
    }
}

/// A browser, with its connections, and the path and version of every asset of the pages it has seen.
struct Browser {
    shared: Arc<Shared>,
    servers: Vec<Connection>,
    seen: BTreeSet<(String, String)>,
}

impl Browser {
    async fn run(mut self, first: usize, started: Instant) {
        for turn in first.. {
            if self.shared.stop.load(Ordering::SeqCst) || started.elapsed() > AT_MOST {
                return;
            }
            self.page(turn % self.servers.len()).await;
            for server in 0..self.servers.len() {
                self.manifest(server).await;
                for (path, version) in self.seen.clone() {
                    self.asset(server, &path, &version).await;
                }
            }
        }
    }

    async fn get(&mut self, server: usize, path: &str) -> Option<Answer> {
        tokio::time::sleep(PAUSE).await;
        let connection = &mut self.servers[server];
        let answer = match tokio::time::timeout(PATIENCE, connection.get(path, false)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no whole answer within {} s", PATIENCE.as_secs())),
        };
        answer
            .map_err(|story| {
                connection.drop_it();
                self.shared.fail(format!("{path} of server {server}: {story}"));
            })
            .ok()
    }

    async fn page(&mut self, server: usize) {
        let Some(answer) = self.get(server, "/").await else { return };
        let Some(version) = answer.version else {
            return self.shared.fail("a page without a version".into());
        };
        let paths = references(&String::from_utf8_lossy(&answer.body));
        if paths.is_empty() {
            self.shared.fail(format!("a page of {version} without assets"));
        }
        self.seen.extend(paths.into_iter().map(|path| (path, version.clone())));
        *self.shared.report().pages.entry(version).or_default() += 1;
    }

    /// Fetches an asset of a page seen before, and checks its content.
    async fn asset(&mut self, server: usize, path: &str, version: &str) {
        let Some(answer) = self.get(server, path).await else { return };
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        if !body.contains(&format!("'version {version}'")) {
            return self.shared.fail(format!("{path} of server {server} is not that of {version}: {body}"));
        }
        let mut report = self.shared.report();
        *report.assets.entry(version.into()).or_default() += 1;
        report.bridged += u64::from(answer.version.as_deref() != Some(version));
    }

    /// Checks that the file with the same name in all versions comes from the version that responds.
    async fn manifest(&mut self, server: usize) {
        let Some(answer) = self.get(server, "/assets/manifest.json").await else { return };
        let (version, body) = (answer.version.unwrap_or_default(), String::from_utf8_lossy(&answer.body));
        if !body.contains(&format!("\"app-{version}.js\"")) {
            self.shared.fail(format!("{version} gives another one's manifest: {body}"));
        }
    }
}

fn references(page: &str) -> BTreeSet<String> {
    let quoted = page.split('"').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with("/assets/")).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Status, version, body.
    type Given = (u16, &'static str, String);

    /// Starts a server that responds with `answer`, from the path and the time since its start in units of 300 ms.
    fn serve(answer: impl Fn(&str, u128) -> Given + Send + Sync + 'static) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let started = Instant::now();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, answer) = (stream.unwrap(), answer.clone());
                std::thread::spawn(move || {
                    talk(stream, |path| answer(path, started.elapsed().as_millis() / 300));
                });
            }
        });
        vec![url]
    }

    fn talk(mut stream: TcpStream, answer: impl Fn(&str) -> Given) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        while let Some(first) = lines.next() {
            lines.by_ref().find(String::is_empty);
            let (status, version, body) = answer(first.split(' ').nth(1).unwrap_or("/"));
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} x\r\nX-Version: {version}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn page(version: &str) -> String {
        format!("<script src=\"/assets/app-{version}.js\"></script>")
    }

    fn app(path: &str, version: &'static str, has: &[&str]) -> Given {
        match path {
            "/" => (200, version, page(version)),
            "/assets/manifest.json" => (200, version, format!("{{\"app.js\": \"app-{version}.js\"}}")),
            _ => match has.iter().find(|other| path == format!("/assets/app-{other}.js")) {
                Some(other) => (200, version, format!("console.log('version {other}')")),
                None => (404, version, String::new()),
            },
        }
    }

    fn visited(urls: &[String]) -> Report {
        let browsers = Browsers::open(2, urls);
        browsers.wait_for("v2", 20);
        browsers.close()
    }

    #[test]
    fn pages_stay_open_and_their_assets_are_asked_for_ever_after() {
        let report = visited(&serve(|path, time| {
            if time == 0 { app(path, "v1", &["v1", "v2"]) } else { app(path, "v2", &["v1", "v2"]) }
        }));
        assert_eq!(report.failed, 0, "{report}");
        assert!(report.assets["v1"] >= report.pages["v1"] && report.bridged >= 20, "{report}");
    }

    #[test]
    fn an_asset_that_is_gone_or_another_ones_is_a_failure() {
        let gone =
            visited(&serve(
                |path, time| {
                    if time == 0 { app(path, "v1", &["v1"]) } else { app(path, "v2", &["v2"]) }
                },
            ));
        assert!(gone.failed > 0 && gone.samples[0].contains("app-v1.js of server 0: status 404"), "{gone}");
        let wrong = visited(&serve(|path, _| match path {
            "/assets/app-v2.js" => (200, "v2", "console.log('version v1')".into()),
            "/assets/manifest.json" => app(path, "v1", &[]),
            _ => app(path, "v2", &[]),
        }));
        assert!(wrong.failed > 0 && wrong.assets.is_empty(), "{wrong}");
    }
}
