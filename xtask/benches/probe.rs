//! The floor of the probe: how long it takes to find ready a service that has
//! been listening all along. No shorter `app` time can be measured.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    thread,
    time::Duration,
};

use criterion::{Criterion, criterion_group, criterion_main};
use xtask::{
    clock::MonoNs,
    measure::probe::{ProbeSpec, Signs, until_ready},
};

const DEADLINE: Duration = Duration::from_secs(1);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Killing and waiting fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The probe tests' server, once it accepts connections.
fn server() -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("loopback has a free port")
        .port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-server"));
    let server = Server(command.arg(port.to_string()).spawn().expect("it starts"));
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::sleep(Duration::from_millis(1));
    }
    (server, port)
}

fn probe(criterion: &mut Criterion) {
    let (_server, port) = server();
    let spec = ProbeSpec {
        port,
        path: "/".to_owned(),
        status: 200,
        body: b"hello".to_vec(),
    };
    let mut group = criterion.benchmark_group("probe");
    group.bench_function("already listening", |bench| {
        bench.iter(|| {
            let ready = until_ready(&spec, Signs::default(), MonoNs::now() + DEADLINE).unwrap();
            assert_eq!(ready.attempts, 1);
        });
    });
    group.finish();
}

criterion_group!(benches, probe);
criterion_main!(benches);
