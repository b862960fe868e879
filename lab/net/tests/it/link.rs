//! The emulated line against the clock: what was asked is what sockets see.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use starling_lab_net::{Host, Line, Net};

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("link_of_25_ms_shows_50_ms_round_trip", round_trip),
    ("link_loses_what_was_asked", random_loss),
    ("link_loses_in_bursts_of_the_asked_length", bursts),
    ("link_keeps_its_rate", rate),
    ("link_queue_bounds_the_delay", queue),
    ("link_changes_while_in_use", change_cut_and_mend),
    ("link_jitter_stays_in_its_bounds", jitter),
    ("link_lan_carries_multicast", multicast),
    ("link_runs_programs_and_kills_them", programs),
    ("link_vanishes_after_a_panic", panic_leaves_nothing),
];

/// An IPv4 header and a UDP header.
const HEADERS: usize = 28;

fn socket_on(host: &Host) -> UdpSocket {
    let address = SocketAddr::from((host.ip(), 0));
    let socket = host
        .run(move || UdpSocket::bind(address))
        .expect("the host lives")
        .expect("a free port");
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .expect("a time-out is allowed");
    socket
}

fn connected_sockets(net: &Net) -> (UdpSocket, UdpSocket) {
    let (alice, bob) = (socket_on(net.host("alice")), socket_on(net.host("bob")));
    alice.connect(bob.local_addr().unwrap()).unwrap();
    bob.connect(alice.local_addr().unwrap()).unwrap();
    (alice, bob)
}

/// Sends numbered packets of `size` bytes, `gap` apart, and returns the numbers and delays received
/// until nothing came for half a second.
fn one_way(net: &Net, count: u32, size: usize, gap: Duration) -> Vec<(u32, Duration)> {
    let (alice, bob) = connected_sockets(net);
    bob.set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count {
                let due = gap * number;
                thread::sleep(due.saturating_sub(start.elapsed()));
                let mut packet = vec![0; size];
                packet[..4].copy_from_slice(&number.to_be_bytes());
                let sent = u64::try_from(start.elapsed().as_nanos()).unwrap();
                packet[4..12].copy_from_slice(&sent.to_be_bytes());
                alice.send(&packet).unwrap();
            }
        });
        let mut received = Vec::new();
        let mut buffer = [0; 2048];
        while bob.recv(&mut buffer).is_ok() {
            let number = u32::from_be_bytes(buffer[..4].try_into().unwrap());
            let sent = Duration::from_nanos(u64::from_be_bytes(buffer[4..12].try_into().unwrap()));
            received.push((number, start.elapsed().saturating_sub(sent)));
        }
        received
    })
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort();
    values[values.len() / 2]
}

fn round_trip() {
    let net = Net::pair(Line::new().delay_ms(25)).unwrap();
    let (alice, bob) = connected_sockets(&net);
    let echo = thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok(length) = bob.recv(&mut buffer) {
            bob.send(&buffer[..length]).unwrap();
        }
    });
    let trips = (0..40_u8)
        .map(|_| {
            let start = Instant::now();
            alice.send(b"ping").unwrap();
            alice.recv(&mut [0; 64]).unwrap();
            start.elapsed()
        })
        .collect::<Vec<_>>();
    echo.join().unwrap();
    let worst = net.stats("alice", "bob").worst_lateness;
    let median = median(trips);
    eprintln!("round trip {median:?}, forwarder at most {worst:?} late");
    assert!(median >= Duration::from_millis(50), "{median:?}");
    assert!(median <= Duration::from_millis(51), "{median:?}");
}

fn random_loss() {
    let net = Net::pair(Line::new().delay_ms(2).loss(0.1)).unwrap();
    let sent = 4000;
    let received = one_way(&net, sent, 64, Duration::from_micros(200)).len() as f64;
    let lost = 1.0 - received / f64::from(sent);
    // Five standard deviations of a fair draw.
    let bound = 5.0 * (0.1 * 0.9 / f64::from(sent)).sqrt();
    assert!((lost - 0.1).abs() < bound, "lost {lost}");
    let stats = net.stats("alice", "bob");
    assert_eq!(
        stats.packets + stats.random_loss,
        u64::from(sent),
        "{stats:?}"
    );
}

fn bursts() {
    let net = Net::pair(Line::new().bursts(0.1, 3)).unwrap();
    let (sent, pause) = (8000, Duration::from_micros(150));
    let begun = Instant::now();
    let numbers = one_way(&net, sent, 64, pause)
        .into_iter()
        .map(|(number, _)| number)
        .collect::<Vec<_>>();
    let taken = begun.elapsed();
    let runs = numbers
        .windows(2)
        .map(|pair| pair[1] - pair[0] - 1)
        .filter(|gap| *gap > 0)
        .collect::<Vec<_>>();
    let lost = f64::from(runs.iter().sum::<u32>());
    let mean = lost / runs.len() as f64;
    // Between the pause asked for and the one that it took.
    let most = 3.0 / (pause.as_secs_f64() * 1e3);
    let least = 3.0 / (taken.as_secs_f64() * 1e3 / f64::from(sent));
    assert!(
        (least / 2.0..most * 2.0).contains(&mean),
        "mean burst {mean} of {} bursts, not {least} to {most}",
        runs.len()
    );
    let share = lost / f64::from(sent);
    assert!((0.04..0.2).contains(&share), "lost {share}");
}

fn rate() {
    let net = Net::pair(Line::new().delay_ms(5).rate_mbit(10).queue_ms(50)).unwrap();
    let (alice, bob) = connected_sockets(&net);
    let size = 1000;
    let sending = Duration::from_millis(1500);
    let sender = thread::spawn(move || {
        let start = Instant::now();
        // Twice what the line carries, evenly.
        for number in 0_u32.. {
            let due = Duration::from_micros(411) * number;
            if due > sending {
                return;
            }
            thread::sleep(due.saturating_sub(start.elapsed()));
            alice.send(&vec![0; size]).unwrap();
        }
    });
    // The queue is full after the first tenth of a second.
    let mut buffer = [0; 2048];
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(200) {
        bob.recv(&mut buffer).unwrap();
    }
    let start = Instant::now();
    let mut bytes = 0;
    while start.elapsed() < Duration::from_millis(1200) {
        bytes += bob.recv(&mut buffer).unwrap() + HEADERS;
    }
    let rate = bytes as f64 * 8.0 / start.elapsed().as_secs_f64();
    sender.join().unwrap();
    eprintln!("measured {:.3} Mbit/s of 10", rate / 1e6);
    assert!((rate / 10e6 - 1.0).abs() < 0.03, "{rate} bit/s");
}

fn queue() {
    let net = Net::pair(Line::new().delay_ms(10).rate_mbit(4).queue_ms(40)).unwrap();
    // 6 Mbit/s into 4: the queue fills and stays full.
    let received = one_way(&net, 600, 972, Duration::from_micros(1333));
    let longest = received.iter().map(|(_, delay)| *delay).max().unwrap();
    let stats = net.stats("alice", "bob");
    eprintln!("longest {longest:?}, {} dropped", stats.queue_full);
    assert!(stats.queue_full > 100, "{stats:?}");
    // 10 ms of propagation, 40 of queue, 2 on the line, and what the machine adds.
    assert!(longest >= Duration::from_millis(50), "{longest:?}");
    assert!(longest <= Duration::from_millis(62), "{longest:?}");
}

fn change_cut_and_mend() {
    let net = Net::pair(Line::new().delay_ms(5)).unwrap();
    let delay = |net: &Net| {
        let delays = one_way(net, 5, 64, Duration::from_millis(1))
            .into_iter()
            .map(|(_, delay)| delay)
            .collect::<Vec<_>>();
        (!delays.is_empty()).then(|| median(delays).as_millis())
    };
    assert!(matches!(delay(&net), Some(5..=7)));
    net.set("alice", "bob", Line::new().delay_ms(30));
    assert!(matches!(delay(&net), Some(30..=32)));
    net.cut("alice", "bob");
    assert_eq!(delay(&net), None);
    net.mend("alice", "bob");
    assert!(matches!(delay(&net), Some(30..=32)));
    net.set_one_way("bob", "alice", Line::new().delay_ms(90));
    assert!(matches!(delay(&net), Some(30..=32)));
}

fn jitter() {
    let line = Line::new().delay_ms(40).jitter_ms(20);
    let net = Net::pair(line).unwrap();
    let in_order = one_way(&net, 100, 64, Duration::from_millis(5));
    assert!(in_order.is_sorted_by_key(|(number, _)| *number));
    net.set("alice", "bob", line.reorder(true));
    let mixed = one_way(&net, 100, 64, Duration::from_millis(5));
    assert!(!mixed.is_sorted_by_key(|(number, _)| *number));
    let delays = mixed.iter().map(|(_, delay)| *delay).collect::<Vec<_>>();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*least >= Duration::from_millis(20) && *least < Duration::from_millis(28));
    assert!(*most <= Duration::from_millis(65) && *most > Duration::from_millis(52));
}

fn multicast() {
    let group = std::net::Ipv4Addr::new(224, 0, 0, 251);
    let net = Net::builder(Line::new())
        .host("alice")
        .host("bob")
        .host("carol")
        .lan()
        .build()
        .unwrap();
    let listeners = ["bob", "carol"].map(|name| {
        let host = net.host(name);
        let ip = host.ip();
        let socket = host
            .run(move || UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 5400)))
            .unwrap()
            .unwrap();
        socket.join_multicast_v4(&group, &ip).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        socket
    });
    let alice = socket_on(net.host("alice"));
    alice.send_to(b"who is there", (group, 5400)).unwrap();
    for listener in listeners {
        let mut buffer = [0; 64];
        let (length, from) = listener.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"who is there");
        assert_eq!(from, alice.local_addr().unwrap());
    }
}

fn programs() {
    let net = Net::pair(Line::new()).unwrap();
    let bob = net.host("bob");
    let process = bob.spawn(Command::new("sleep").arg("600")).unwrap();
    let pid = process.id();
    let inside = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let of_bob = bob
        .run(|| std::fs::read_link("/proc/thread-self/ns/net"))
        .unwrap()
        .unwrap();
    assert_eq!(inside, of_bob);
    assert_ne!(inside, std::fs::read_link("/proc/self/ns/net").unwrap());
    drop(process);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(bob.spawn(&mut Command::new("no-such-program")).is_err());
}

fn panic_leaves_nothing() {
    let (send, receive) = std::sync::mpsc::channel();
    let outcome = thread::spawn(move || {
        let net = Net::pair(Line::new()).unwrap();
        let process = net
            .host("alice")
            .spawn(Command::new("sleep").arg("600"))
            .unwrap();
        send.send(process.id()).unwrap();
        panic!("this panic is part of the test");
    })
    .join();
    assert!(outcome.is_err());
    let pid = receive.recv().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let threads = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter(|task| {
            let name = task.as_ref().unwrap().path().join("comm");
            std::fs::read_to_string(name).is_ok_and(|name| name.starts_with("lab-link"))
        });
    assert_eq!(threads.count(), 0);
}
