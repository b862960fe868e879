//! `starling audio meter` and `starling audio test`: how loud the microphone is, and what it sounds like.

use std::time::Duration;

use clap::Args;
use starling_control::view::{AudioMeter, AudioTest, AudioTestState};
use starling_control::{Command, ErrorKind, Failure};
use tokio::time::{Instant, interval};

use super::profile::Settings;
use super::{Outcome, duration, launch, print};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A bar has so many places, one for each 2 dB.
const BAR: usize = 30;

#[derive(Debug, Args)]
pub struct MeterArgs {
    /// End after so much time: 10s, 1m [default: Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    limit: Option<Duration>,
}

/// `starling audio meter`
pub async fn meter(args: MeterArgs, settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    let mut every = interval(LOOK_EVERY);
    let began = Instant::now();
    while args.limit.is_none_or(|limit| began.elapsed() < limit) {
        every.tick().await;
        let meter: AudioMeter = client.ask(Command::AudioMeter {}).await?;
        if settings.json {
            print::json(&meter);
        } else {
            let peak = meter.peak_dbfs;
            print::line(&format!("{}  peak {peak:6.1}", bar(meter.rms_dbfs)));
        }
    }
    Ok(())
}

/// `starling audio test`
pub async fn test(settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    let mut test: AudioTest = client.ask(Command::AudioTest {}).await?;
    let mut every = interval(LOOK_EVERY);
    let mut shown = AudioTestState::None;
    while test.state.is_running() {
        show(&test, &mut shown, settings);
        every.tick().await;
        test = client.ask(Command::AudioTestState {}).await?;
    }
    if test.state == AudioTestState::Failed {
        return Err(Failure::new(ErrorKind::System, test.words));
    }
    if settings.json {
        print::json(&test);
    } else {
        print::line(&print::text(&test.words));
    }
    Ok(())
}

fn show(test: &AudioTest, shown: &mut AudioTestState, settings: &Settings) {
    if settings.json {
        return print::json(test);
    }
    if test.state != std::mem::replace(shown, test.state) {
        print::line(&print::text(&test.words));
    }
    if let Some(level) = test.rms_dbfs {
        let left = test.left_ms as f64 / 1_000.0;
        print::line(&format!("{}  {left:.1} s left", bar(level)));
    }
}

fn bar(dbfs: f64) -> String {
    let places = (dbfs / 2.0 + BAR as f64).clamp(0.0, BAR as f64) as usize;
    format!("{dbfs:6.1} dBFS  {:<BAR$}", "#".repeat(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_with_the_level() {
        let places = |dbfs| bar(dbfs).matches('#').count();
        assert_eq!([-96.0, -60.0, -30.0, 0.0].map(places), [0, 0, 15, 30]);
        assert_eq!(bar(0.0).len(), bar(-96.0).len());
    }
}
