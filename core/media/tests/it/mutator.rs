//! A seeded mutator: from a few valid inputs it makes many that are almost valid. The same seed gives the same inputs.

use std::time::{Duration, Instant};

const INPUTS: u32 = 200_000;
const TIME: Duration = Duration::from_secs(5);
const LONGEST: usize = 4096;

/// Feeds `body` with mutated corpus entries: 200,000 of them, or as many as 5 s allow.
pub fn run(seed: u64, corpus: &[Vec<u8>], body: impl Fn(&[u8])) {
    let began = Instant::now();
    let mut random = Random(seed | 1);
    for entry in corpus {
        body(entry);
    }
    for count in 0..INPUTS {
        if count % 256 == 0 && began.elapsed() > TIME {
            return;
        }
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, corpus, &mut random);
        }
        body(&input);
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        2 => input.truncate(at),
        3 => input.insert(at, random.below(256) as u8),
        4 if at < input.len() => {
            input.remove(at);
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        // The longest varint, where a length or a number is read.
        _ => {
            input.splice(at..at, [0xff; 9].into_iter().chain([1]));
        }
    }
    input.truncate(LONGEST);
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}
