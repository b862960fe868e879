//! Where nobody speaks: little is sent, and what is heard goes on.

use std::time::Duration;

use starling_media::{FRAME, Packetizer, Playout, Step};

use crate::call::{START, plain};

/// What one side says, a letter a frame: `s` speech, `q` quiet; capital: the packet is lost. What is heard, a letter a step.
struct Talk {
    says: String,
    /// How late packets are from a frame on.
    late: (usize, Duration),
    sent: usize,
    concealed: u64,
    heard: String,
}

impl Talk {
    fn new(says: &str) -> Self {
        Self {
            says: says.to_owned(),
            late: (usize::MAX, Duration::ZERO),
            sent: 0,
            concealed: 0,
            heard: String::new(),
        }
    }

    fn run(mut self) -> Self {
        let mut sender = Packetizer::new(1);
        let mut arrivals = Vec::new();
        for (frame, says) in self.says.chars().enumerate() {
            let length = if says.eq_ignore_ascii_case(&'q') {
                1
            } else {
                40
            };
            let Some(datagram) = sender.packets(plain(&vec![7; length])).pop() else {
                continue;
            };
            self.sent += 1;
            let (from, late) = self.late;
            let late = if frame >= from { late } else { Duration::ZERO };
            if says.is_lowercase() {
                arrivals.push((FRAME * frame as u32 + late, datagram));
            }
        }
        let mut arrivals = arrivals.into_iter().peekable();
        let mut playout = Playout::new();
        for pull in 0..self.says.len() as u32 {
            let now = FRAME * pull + Duration::from_millis(35);
            while let Some((at, datagram)) = arrivals.next_if(|(at, _)| *at <= now) {
                playout.insert(&datagram, START + at).unwrap();
            }
            self.heard.push(match playout.pull(START + now) {
                Step::Decode(payload) if payload.len() == 1 => 'q',
                Step::Decode(_) => 'd',
                Step::Comfort => '.',
                Step::Conceal => 'c',
                Step::Recover { .. } => 'r',
                Step::Silence => '-',
                Step::Shorten(..) | Step::Lengthen(_) => '~',
            });
        }
        self.concealed = playout.statistics().concealed;
        self
    }
}

/// Speech, silence of so many frames, speech.
fn talk(quiet: usize) -> String {
    ["s".repeat(20), "q".repeat(quiet), "s".repeat(20)].concat()
}

#[test]
fn silence_is_sent_once_and_heard_as_the_noise_of_the_room() {
    let talk = Talk::new(&talk(20)).run();
    assert_eq!(talk.sent, 42);
    let heard = [&"d".repeat(20), "qq", &".".repeat(18), &"d".repeat(20)].concat();
    assert_eq!(talk.heard, heard);
    assert_eq!(talk.concealed, 0, "nothing is missing where nobody speaks");
}

#[test]
fn one_lost_word_of_silence_is_not_noticed_and_two_are_a_loss() {
    let says = talk(20);
    let one = Talk::new(&says.replacen('q', "Q", 1)).run();
    assert!(one.concealed <= 1, "{}", one.heard);
    let heard = Talk::new(&says.replacen("qq", "QQ", 1)).run().heard;
    assert!(heard.contains(&"c".repeat(5)), "{heard}");
    assert!(heard.ends_with("dddddddddd"), "{heard}");
}

#[test]
fn a_word_after_silence_that_comes_late_is_heard_whole() {
    let says = talk(30);
    let late = Talk {
        late: (50, Duration::from_millis(90)),
        ..Talk::new(&says)
    };
    let heard = late.run().heard;
    let spoken = heard.matches(['d', '~']).count();
    // What is not played yet at the end are the frames that are late.
    assert!((35..=37).contains(&spoken), "{spoken}: {heard}");
    let begin = heard.rfind('.').unwrap();
    assert!(!heard[begin..].contains(['c', 'r']), "{heard}");
}

#[test]
fn silence_after_which_nothing_comes_ends() {
    let lost = ["s".repeat(20), "q".repeat(2), "S".repeat(200)].concat();
    let heard = Talk::new(&lost).run().heard;
    assert_eq!(heard.matches('.').count(), 100, "{heard}");
    assert!(heard.ends_with("----------"), "{heard}");
}
