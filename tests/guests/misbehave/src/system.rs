//! What it does wrong to the system below: files, sockets, clocks, random numbers.

use std::fs::File;
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use sluice_hook_sdk::Failure;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::filesystem::preopens::get_directories;
use wasip2::random::random::get_random_bytes;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// Do `act`; nothing if it is not one of these.
pub(crate) fn act(act: &str) -> Result<(), Failure> {
    match act {
        "exit" => std::process::exit(3),
        "sleep" => sleep(),
        "break-out" => return Err(Failure(break_out().into())),
        "much-randomness" => {
            std::hint::black_box(get_random_bytes(1 << 30));
        }
        "randomness-flood" => loop {
            std::hint::black_box(get_random_bytes(4_096));
        },
        "many-timers" => {
            let mut held = Vec::new();
            loop {
                held.push(subscribe_duration(u64::MAX));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Sleep for thirty years.
pub(crate) fn sleep() {
    std::thread::sleep(Duration::from_secs(1 << 30));
}

/// Try every way out that WASI has; the name of the first that is open.
fn break_out() -> &'static str {
    let ways: [(&str, bool); 10] = [
        ("folders", !get_directories().is_empty()),
        ("a file to read", File::open("/etc/passwd").is_ok()),
        ("a file to write", File::create("/tmp/here").is_ok()),
        ("a listing", std::fs::read_dir("/").is_ok()),
        ("variables", std::env::vars().next().is_some()),
        ("arguments", std::env::args().next().is_some()),
        (
            "tcp",
            TcpStream::connect(("127.0.0.1", 9)).is_ok()
                || create_tcp_socket(IpAddressFamily::Ipv4).is_ok(),
        ),
        (
            "udp",
            UdpSocket::bind(("127.0.0.1", 0)).is_ok()
                || create_udp_socket(IpAddressFamily::Ipv4).is_ok(),
        ),
        ("names", "localhost:80".to_socket_addrs().is_ok()),
        ("input", std::io::stdin().lines().next().is_some()),
    ];
    let open = ways.iter().find(|(_, is_open)| *is_open);
    open.map_or("every way is shut", |(way, _)| way)
}
