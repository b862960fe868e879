//! From starting the program to seeing a contact online.

use crate::Line;
use crate::actor::{ActorError, Seat};
use crate::bench::Findings;
use crate::bench::stage::{LinkStage, PATIENCE};
use crate::story;

const RUNS: usize = 7;

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let mut stage = LinkStage::build(Line::reference())?;
    for _ in 0..RUNS {
        stage = start_again(stage, "online", findings)?;
    }
    stage.block_udp_of_alice()?;
    for _ in 0..RUNS {
        stage = start_again(stage, "online_without_udp", findings)?;
    }
    stage.cast.dismiss()
}

fn start_again(
    stage: LinkStage,
    key: &'static str,
    findings: &mut Findings,
) -> Result<LinkStage, ActorError> {
    let LinkStage {
        net,
        mut cast,
        folder,
    } = stage;
    let home = cast.alice.home().to_owned();
    cast.alice.stop()?;
    story::wait_presence(&cast.bob, "Alice", false)?;
    let seat = Seat::on(net.host("alice"));
    let took;
    (cast.alice, took) = story::start_to_online("Alice", &home, seat, "Bob", PATIENCE)?;
    story::wait_presence(&cast.bob, "Alice", true)?;
    findings.add(key, took.as_secs_f64() * 1e3);
    Ok(LinkStage { net, cast, folder })
}
