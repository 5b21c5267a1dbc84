//! Sends events to a running server as fast as it takes them, or at a rate, and tells what became of them.
//!
//! Bodies are rendered once and only their message ids change, so that it takes little of the processors that it shares with the server. Each connection has one request under way.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures asks for the time and tells it"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends events to a running server
#[derive(Debug, Parser)]
struct Args {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:7450")]
    address: String,
    /// A key that may write
    #[arg(long)]
    key: String,
    /// Events in a request
    #[arg(long, default_value_t = 500)]
    batch: usize,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Requests a second of all connections; as many as are taken without it
    #[arg(long)]
    rate: Option<f64>,
    /// The number of the first event: other runs send others
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Send what was turned away again until it is taken, each under the ids that it had
    #[arg(long)]
    again: bool,
    /// Write the number of the first event of each request that was acknowledged to a file
    #[arg(long)]
    acknowledged: Option<std::path::PathBuf>,
}

/// A request whose ids can be written over.
struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
}

const DIGITS: usize = 12;

impl Template {
    fn new(args: &Args) -> Self {
        let mut body = String::from(if args.batch == 1 { "" } else { "[" });
        for at in 0..args.batch {
            let person = (at * 7_919 + 13) % 50_000;
            let name = ["page_view", "product_view", "add_to_cart", "purchase"][at % 4];
            body.push_str(if at == 0 { "" } else { "," });
            body.push_str(&format!(
                r#"{{"event":"{name}","distinct_id":"user-{person:06}","message_id":"m{:0DIGITS$}","timestamp":"2026-01-{:02}T{:02}:00:00.123Z","properties":{{"country":"DE","platform":"web","plan":"free","url":"https://shop.example/p/{at}","amount":{at}.5}}}}"#,
                0,
                1 + at % 28,
                at % 24
            ));
        }
        body.push_str(if args.batch == 1 { "" } else { "]" });
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            args.address,
            args.key,
            body.len()
        );
        let marker = "\"message_id\":\"m";
        let bytes = (head + &body).into_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let ids = text.match_indices(marker).map(|(at, _)| at + marker.len()).collect();
        Self { ids, bytes }
    }

    fn number(&mut self, first: u64) {
        for (id, number) in self.ids.iter().zip(first..) {
            let mut rest = number;
            for digit in self.bytes[*id..*id + DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }
}

/// The status of the next answer, whose body is passed over.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    buffer.clear();
    let mut head = None;
    loop {
        if head.is_none()
            && let Some(end) = buffer.windows(4).position(|at| at == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let length: usize = length.context("an answer without a length")?;
            let status =
                text.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer without a status")?;
            head = Some((end + 4 + length, status));
        }
        if let Some((whole, status)) = head
            && buffer.len() >= whole
        {
            return Ok(status);
        }
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection was closed");
        }
    }
}

#[derive(Default)]
struct Seen {
    next: u64,
    statuses: BTreeMap<u16, u64>,
    lost: u64,
    times_us: Vec<u64>,
    acknowledged: Vec<u64>,
}

impl Seen {
    fn take(&mut self, status: u16, first: u64, sent: Instant) {
        *self.statuses.entry(status).or_default() += 1;
        if status == 202 {
            self.times_us.push(sent.elapsed().as_micros() as u64);
            self.acknowledged.push(first);
        }
    }
}

async fn sends(args: Rc<Args>, seen: Rc<RefCell<Seen>>, begun: Instant) -> Result<()> {
    let until = begun + Duration::from_secs(args.seconds);
    let mut template = Template::new(&args);
    let mut buffer = Vec::new();
    let mut connected: Option<TcpStream> = None;
    let mut turned_away = None;
    while Instant::now() < until {
        let first = turned_away.take().unwrap_or_else(|| {
            let mut seen = seen.borrow_mut();
            seen.next += args.batch as u64;
            seen.next - args.batch as u64
        });
        template.number(first);
        // At a rate a request counts from when it was due: one that waited behind a slow one was slow, too.
        let sent = if let Some(rate) = args.rate {
            let number = (first - args.first) / args.batch as u64;
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
            due
        } else {
            Instant::now()
        };
        let mut stream = match connected.take() {
            Some(stream) => stream,
            None => {
                let Ok(stream) = TcpStream::connect(&args.address).await else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    seen.borrow_mut().lost += 1;
                    turned_away = args.again.then_some(first);
                    continue;
                };
                stream.set_nodelay(true)?;
                stream
            }
        };
        let told = async {
            stream.write_all(&template.bytes).await?;
            answer(&mut stream, &mut buffer).await
        };
        let Ok(status) = told.await else {
            seen.borrow_mut().lost += 1;
            turned_away = args.again.then_some(first);
            continue;
        };
        connected = Some(stream);
        let is_taken = status == 202;
        seen.borrow_mut().take(status, first, sent);
        if !is_taken {
            turned_away = args.again.then_some(first);
            tokio::time::sleep(Duration::from_millis(if args.again { 20 } else { 1 })).await;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args = Rc::new(Args::parse());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = Rc::new(RefCell::new(Seen { next: args.first, ..Seen::default() }));
    let begun = Instant::now();
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> =
        (0..args.connections).map(|_| local.spawn_local(sends(Rc::clone(&args), Rc::clone(&seen), begun))).collect();
    runtime.block_on(local.run_until(async {
        for task in tasks {
            task.await??;
        }
        Ok::<_, anyhow::Error>(())
    }))?;
    let took = begun.elapsed().as_secs_f64();
    let mut seen = seen.borrow_mut();
    seen.times_us.sort_unstable();
    let at = |share: f64| {
        let place = ((seen.times_us.len() as f64 * share) as usize).min(seen.times_us.len().saturating_sub(1));
        seen.times_us.get(place).map_or(0.0, |us| *us as f64 / 1_000.0)
    };
    let accepted = seen.acknowledged.len() as u64;
    println!(
        "{:.0} events/s in {:.0} requests/s, each answer after {:.2} ms (median), {:.2} (p95), {:.2} (p99), {:.2} (most); statuses {:?}, {} lost; next {}",
        (accepted * args.batch as u64) as f64 / took,
        accepted as f64 / took,
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
        seen.statuses,
        seen.lost,
        seen.next
    );
    if let Some(path) = &args.acknowledged {
        let lines: String = seen.acknowledged.iter().map(|first| format!("{first}\n")).collect();
        std::fs::write(path, lines)?;
    }
    Ok(())
}
