//! The machines of a matrix, their routers and the people at them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crate::actor::{Actor, ActorError, Seat};
use crate::host::Host;
use crate::matrix::access::Kind;
use crate::matrix::behaviour::{Behaviour, predict};
use crate::matrix::{Pair, call, proxy};
use crate::namespace::Namespace;
use crate::story;
use crate::{LabError, Line, Net};

/// What the net's hosts, which are the routers, call their outer interface.
const OUTER: &str = "tun0";
/// Every step ends within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// The two public hosts, and a machine behind each kind of access for each part.
#[derive(Debug)]
pub struct Stage {
    // Before the net: what is behind a router goes first.
    seats: [Vec<Machine>; 2],
    /// A carrier's customers' routers.
    _between: Vec<Namespace>,
    net: Net,
    proxy: String,
    behaviours: Vec<(Kind, Behaviour)>,
}

#[derive(Debug)]
struct Machine {
    kind: Kind,
    host: Host,
    behaviour: Behaviour,
}

/// People at the machines, who know each other.
#[derive(Debug)]
pub struct Cast {
    callers: Vec<Actor>,
    callees: Vec<Actor>,
    supernode: Actor,
    stage: Stage,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Builds the net, with `line` between each two routers, and finds out how each router behaves.
    pub fn build(callers: &[Kind], callees: &[Kind], line: Line) -> Result<Self, LabError> {
        let mut builder = Net::builder(line).host("supernode").host("witness");
        let parts = [("caller", callers), ("callee", callees)];
        for (part, kinds) in parts {
            for (number, kind) in kinds.iter().enumerate() {
                builder = builder.host(&router_of(part, number, *kind));
            }
        }
        let net = builder.build()?;
        let proxy = proxy::start(net.host("witness"))?;
        let mut site = Site::default();
        let mut plant = |(part, kinds): (&'static str, &[Kind])| {
            let machine = |(number, kind): (usize, &Kind)| site.machine(&net, part, number, *kind);
            kinds
                .iter()
                .enumerate()
                .map(machine)
                .collect::<Result<Vec<_>, _>>()
        };
        let seats = [plant(parts[0])?, plant(parts[1])?];
        let mut behaviours: Vec<(Kind, Behaviour)> = Vec::new();
        for machine in seats.iter().flatten() {
            if behaviours.iter().all(|(kind, _)| *kind != machine.kind) {
                behaviours.push((machine.kind, machine.behaviour));
            }
        }
        Ok(Self {
            seats,
            _between: site.between,
            net,
            proxy,
            behaviours,
        })
    }

    /// How each kind was found to behave.
    pub fn behaviours(&self) -> &[(Kind, Behaviour)] {
        &self.behaviours
    }

    /// The public host for a supernode.
    pub fn public(&self) -> &Host {
        self.net.host("supernode")
    }

    /// A machine of a part: of the callers' 0, of the callees' 1.
    pub fn host(&self, part: usize, number: usize) -> &Host {
        &self.seats[part][number].host
    }

    /// Starts a supernode in public and a node at each machine, and lets them register.
    pub fn enter(self) -> Result<Cast, ActorError> {
        let folder = story::temporary_folder()?;
        let public = Seat::on(self.net.host("supernode"));
        let (supernode, network) = story::found_network(folder.path(), public, PATIENCE)?;
        let with_proxy = [("HTTPS_PROXY", self.proxy.as_str())];
        let join = |(number, machine): (usize, &Machine)| {
            let mut seat = Seat::on(&machine.host);
            if machine.kind == Kind::ProxyOnly {
                seat = seat.with(&with_proxy);
            }
            let name = format!("{}{number}", machine.host.name());
            story::join_network(&name, folder.path(), seat, &network, PATIENCE)
        };
        let people = |part: usize| {
            let machines = self.seats[part].iter().enumerate();
            machines.map(join).collect::<Result<Vec<_>, _>>()
        };
        let (callers, callees) = (people(0)?, people(1)?);
        Ok(Cast {
            callers,
            callees,
            supernode,
            stage: self,
            folder,
        })
    }
}

/// What the net calls the router of a machine, or the machine itself if there is none.
fn router_of(part: &str, number: usize, kind: Kind) -> String {
    format!("{part} {number} {kind}")
}

/// Numbers the private networks.
#[derive(Default)]
struct Site {
    last: u8,
    between: Vec<Namespace>,
}

impl Site {
    /// A machine behind the net's host for that part, number and kind.
    fn machine(
        &mut self,
        net: &Net,
        part: &'static str,
        number: usize,
        kind: Kind,
    ) -> Result<Machine, LabError> {
        let router = net.host(&router_of(part, number, kind));
        let (supernode, witness) = (net.host("supernode"), net.host("witness"));
        let Some(rules) = kind.rules(OUTER, router.ip(), witness.ip()) else {
            let host = Host::new(part, router.ip(), OUTER, router.namespace().share()?);
            return Machine::new(kind, host, supernode, witness);
        };
        router.namespace().nft(&rules)?;
        self.last += 1;
        let inner = if kind == Kind::Cgnat {
            // The carrier's own range (RFC 6598).
            let customer = router.namespace().behind([100, 64, self.last], "wan0")?;
            if let Some(rules) = kind.rules("wan0", router.ip(), witness.ip()) {
                customer.nft(&rules)?;
            }
            let inner = customer.behind([10, 0, self.last], "eth0")?;
            self.between.push(customer);
            inner
        } else {
            router.namespace().behind([10, 0, self.last], "eth0")?
        };
        let address = Ipv4Addr::new(10, 0, self.last, 2);
        let host = Host::new(part, address, "eth0", inner);
        Machine::new(kind, host, supernode, witness)
    }
}

impl Machine {
    fn new(kind: Kind, host: Host, supernode: &Host, witness: &Host) -> Result<Self, LabError> {
        let behaviour = Behaviour::observe(&host, supernode, witness)?;
        Ok(Self {
            kind,
            host,
            behaviour,
        })
    }
}

impl Cast {
    /// Every caller becomes a contact of everybody who is called.
    pub fn befriend(&self) -> Result<(), ActorError> {
        for caller in &self.callers {
            for callee in &self.callees {
                story::befriend(caller, callee)?;
            }
        }
        Ok(())
    }

    /// The caller and the called of that number.
    pub fn two(&self, number: usize) -> [&Actor; 2] {
        [&self.callers[number], &self.callees[number]]
    }

    /// For what they play and record.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One calls the other, and what came of it.
    pub fn pair(&self, caller: usize, callee: usize) -> Pair {
        let machines = [&self.stage.seats[0][caller], &self.stage.seats[1][callee]];
        let behaviours = machines.map(|machine| machine.behaviour);
        let (one, other) = (&self.callers[caller], &self.callees[callee]);
        let measured = call::measure(one, other, self.folder.path(), behaviours);
        Pair {
            caller: machines[0].kind,
            callee: machines[1].kind,
            predicted: predict(behaviours[0], behaviours[1]),
            outcome: measured.map_err(|error| error.to_string()),
        }
    }

    /// What any of them warned of.
    pub fn warnings(&self) -> Vec<String> {
        let people = self.callers.iter().chain(&self.callees);
        people
            .chain([&self.supernode])
            .flat_map(Actor::warnings)
            .collect()
    }

    /// Ends all of them.
    pub fn dismiss(self) -> Result<(), ActorError> {
        for person in self.callers.into_iter().chain(self.callees) {
            person.stop()?;
        }
        self.supernode.stop()
    }
}
