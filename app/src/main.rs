//! The sample service: reads its port, listens, and serves until it is told to
//! stop. What it answers is in `service`.

mod service;

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

const DEFAULT_PORT: u16 = 8080;

/// What tools conventionally exit with when they were called wrongly.
const EXIT_USAGE: u8 = 2;

// One thread is what a greeting needs, and it starts soonest.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let port = match port(env::var_os("PORT").as_deref()) {
        Ok(port) => port,
        Err(problem) => return fail(EXIT_USAGE, &problem),
    };
    match run(port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("port {port}: {error}")),
    }
}

async fn run(port: u16) -> io::Result<()> {
    // As PID 1 there is no default action for these signals: without handlers
    // they would be ignored. They come first, so that none can be missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    // A socket address and not a string: a name would link the resolver in.
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?;
    log(format_args!("listening on {}", listener.local_addr()?));

    // No draining: a greeting is never half done, and an idle connection must
    // not hold the exit up.
    tokio::select! {
        served = axum::serve(listener, service::routes()) => served,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// The port to listen on; 0 lets the system choose a free one.
fn port(setting: Option<&OsStr>) -> Result<u16, String> {
    let Some(setting) = setting else {
        return Ok(DEFAULT_PORT);
    };
    setting
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("PORT is {setting:?}, expected a number from 0 to 65535"))
}

/// Writes a line to stdout. A service does not stop because nobody reads its
/// log, so unlike `println!` this never panics.
fn log(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn fail(status: u8, problem: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {problem}");
    ExitCode::from(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_8080_unless_set() {
        assert_eq!(port(None), Ok(8080));
        assert_eq!(port(Some(OsStr::new("9000"))), Ok(9000));
    }
}
