//! A proxy between a program and an HTTP server that makes requests fail at random, with a seed.
//!
//! Each request uses its own connection to the server. Whether and how it fails is a function of the seed, the request
//! line and the number of times that line was seen, so a run is repeatable in whatever order its requests arrive.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset before the server sees the request.
    Reset,
    /// The server receives half of the request body.
    HalfRequest,
    /// The server carries out the request, but the response is lost.
    LostAnswer,
    /// The response body breaks off.
    HalfAnswer,
    /// The response is late.
    Delay,
    /// The proxy responds with this status instead of the server.
    Status(u16),
}

/// All faults.
pub const ALL: &[Fault] = &[
    Fault::Reset,
    Fault::HalfRequest,
    Fault::LostAnswer,
    Fault::HalfAnswer,
    Fault::Delay,
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(429),
];

/// Chooses the fault for a request line (`PUT /bucket/key?query`) and the number of times it was seen before.
type Plan = dyn Fn(&str, usize) -> Option<Fault> + Send + Sync;

/// The proxy; it stops when dropped.
pub struct FaultyProxy {
    address: SocketAddr,
    made: Arc<AtomicUsize>,
    seen: Arc<AtomicUsize>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl FaultyProxy {
    /// A proxy in front of `server`: a request fails with probability `rate`, in one of these ways.
    pub fn start(server: SocketAddr, seed: u64, rate: f64, faults: &'static [Fault]) -> Self {
        Self::planned(server, move |line, times| {
            let mut hasher = DefaultHasher::new();
            (seed, line, times).hash(&mut hasher);
            let draw = hasher.finish();
            let hit = ((draw >> 11) as f64 / (1u64 << 53) as f64) < rate;
            hit.then(|| faults[(draw & 0x3ff) as usize % faults.len()])
        })
    }

    /// A proxy whose faults are chosen by `plan`.
    pub fn planned(server: SocketAddr, plan: impl Fn(&str, usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("cannot bind a port");
        listener.set_nonblocking(true).expect("cannot make the port non-blocking");
        let address = listener.local_addr().expect("the port has an address");
        let (made, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let state = Arc::new(State {
            server,
            plan: Box::new(plan),
            times: Mutex::default(),
            made: Arc::clone(&made),
            seen: Arc::clone(&seen),
        });
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("cannot start a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("tokio cannot use the port");
                loop {
                    tokio::select! {
                        accepted = listener.accept() => if let Ok((client, _)) = accepted {
                            let state = Arc::clone(&state);
                            tokio::spawn(async move { let _ = state.serve(client).await; });
                        },
                        _ = &mut stopped => return,
                    }
                }
            });
        });
        Self { address, made, seen, stop: Some(stop) }
    }

    /// The URL of the proxy.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of requests that failed.
    pub fn faults(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

struct State {
    server: SocketAddr,
    plan: Box<Plan>,
    times: Mutex<HashMap<String, usize>>,
    made: Arc<AtomicUsize>,
    seen: Arc<AtomicUsize>,
}

impl State {
    /// Serves one request, then closes the connection.
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let mut head = Vec::new();
        let end = loop {
            if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if client.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        };
        let body_start = head.split_off(end);
        let text = String::from_utf8_lossy(&head).into_owned();
        let length = header(&text, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0usize);

        self.seen.fetch_add(1, Ordering::Relaxed);
        let line = request_line(&text);
        let times = {
            let mut times = self.times.lock().unwrap();
            let entry = times.entry(line.clone()).or_default();
            *entry += 1;
            *entry - 1
        };
        let fault = (self.plan)(&line, times);
        if fault.is_some() {
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        match fault {
            Some(Fault::Reset) => return reset(client),
            Some(Fault::Status(status)) => {
                drain(&mut client, length - body_start.len().min(length)).await?;
                let body =
                    "<?xml version=\"1.0\"?><Error><Code>Trouble</Code><Message>made by the test</Message></Error>";
                let answer = format!(
                    "HTTP/1.1 {status} Trouble\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
                client.write_all(answer.as_bytes()).await?;
                return client.shutdown().await;
            }
            Some(Fault::Delay) => tokio::time::sleep(Duration::from_millis(40 + times as u64 * 7 % 50)).await,
            _ => {}
        }

        let mut server = TcpStream::connect(self.server).await?;
        server.set_nodelay(true)?;
        let mut full_head = text.trim_end_matches("\r\n").to_string();
        full_head.push_str("\r\nconnection: close\r\n\r\n");
        server.write_all(full_head.as_bytes()).await?;
        let length_to_send = if fault == Some(Fault::HalfRequest) { length / 2 } else { length };
        let first = body_start.len().min(length_to_send);
        server.write_all(&body_start[..first]).await?;
        relay(&mut client, &mut server, length_to_send - first).await?;
        if fault == Some(Fault::HalfRequest) {
            drop(server);
            return reset(client);
        }

        let mut answer = Vec::new();
        match fault {
            Some(Fault::LostAnswer) => {
                server.read_to_end(&mut answer).await?;
                reset(client)
            }
            Some(Fault::HalfAnswer) => {
                server.read_to_end(&mut answer).await?;
                let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
                let half = head + (answer.len() - head) / 2;
                client.write_all(&answer[..half]).await?;
                client.shutdown().await
            }
            _ => {
                tokio::io::copy(&mut server, &mut client).await?;
                client.shutdown().await
            }
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Method and target without the upload id, which differs in every run.
fn request_line(head: &str) -> String {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<&str> =
        query.split('&').map(|pair| if pair.starts_with("uploadId=") { "uploadId" } else { pair }).collect();
    format!("{method} {path}?{}", query.join("&"))
}

fn reset(client: TcpStream) -> std::io::Result<()> {
    client.set_zero_linger()?;
    Ok(())
}

async fn drain(client: &mut TcpStream, mut left: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while left > 0 {
        let step = left.min(buffer.len());
        match client.read(&mut buffer[..step]).await? {
            0 => return Ok(()),
            read => left -= read,
        }
    }
    Ok(())
}

async fn relay(client: &mut TcpStream, server: &mut TcpStream, mut left: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while left > 0 {
        let step = left.min(buffer.len());
        match client.read(&mut buffer[..step]).await? {
            0 => return Ok(()),
            read => {
                server.write_all(&buffer[..read]).await?;
                left -= read;
            }
        }
    }
    Ok(())
}
