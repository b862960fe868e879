//! `starling account phrase`: the 24 words on the terminal, and whether somebody has them on paper.

use std::io::{self, BufRead, IsTerminal, Read};

use starling_control::command::PhraseWord;
use starling_control::{Command, ErrorKind, Failure, view};

use super::profile::Settings;
use super::{Outcome, account, launch, print};

/// Words beside each other.
const COLUMNS: usize = 4;
/// Of a phrase.
const WORDS: usize = 24;
/// Bytes of a phrase as it is typed.
const WORDS_MAX: u64 = 1_000;
/// Bytes of an answer.
const ANSWER_MAX: u64 = 100;

pub async fn show(settings: &Settings) -> Outcome {
    let phrase: view::Phrase = launch::ask(settings, Command::AccountPhrase {}).await?;
    if settings.json {
        print::json(&phrase);
        return Ok(());
    }
    for line in lines(&phrase.words) {
        print::line(&line);
    }
    print::say(
        "Write these words on paper, in this order, and keep it where you keep papers. Whoever has them has your account; nobody \
         else can give it back to you. Then: starling account phrase check",
    );
    Ok(())
}

/// By the words, which never stand in an argument: others would see them in the list of processes.
pub async fn restore(anyway: bool, settings: &Settings) -> Outcome {
    let words = all_words().await?;
    let command = Command::AccountRestorePhrase { words, anyway };
    let restored: view::Restored = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&restored);
        return Ok(());
    }
    account::show(&restored.account, settings);
    print::say(&format!(
        "Restored. Contacts: {}, who are asked for their cards now and are back when their devices have answered; blocked: {}. \
         Every other device of this account is revoked.",
        restored.contacts, restored.blocked
    ));
    for note in &restored.notes {
        print::say(&format!("note: {}", print::text(note)));
    }
    Ok(())
}

/// This device is the only one afterwards.
pub async fn recover(settings: &Settings) -> Outcome {
    let words = all_words().await?;
    let recovered = launch::ask(settings, Command::AccountRecover { words }).await?;
    account::show(&recovered, settings);
    print::say("This is the account's only device now; your contacts are being told.");
    Ok(())
}

/// The words are on paper alone afterwards.
pub async fn forget(settings: &Settings) -> Outcome {
    let words = all_words().await?;
    let mut client = launch::client(settings).await?;
    client.call(Command::AccountPhraseForget { words }).await?;
    print::say(
        "This device has forgotten the words. Without your paper nobody can recover the account.",
    );
    Ok(())
}

/// A line that answers a question.
pub async fn typed(question: &'static str) -> Result<String, Failure> {
    let line = tokio::task::spawn_blocking(move || {
        print::say(question);
        let mut line = String::new();
        io::stdin().lock().take(WORDS_MAX).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    });
    let line = line.await.map_err(io::Error::other);
    let line = line.and_then(|line: io::Result<String>| line);
    line.map_err(|error| usage(&format!("nobody answers here: {error}")))
}

async fn all_words() -> Result<String, Failure> {
    let words = tokio::task::spawn_blocking(given).await;
    let words = words.map_err(io::Error::other).and_then(|words| words);
    words.map_err(|error| usage(&format!("the words could not be read: {error}")))
}

/// Everything up to the end, or on a terminal until there are enough words.
fn given() -> io::Result<String> {
    let input = io::stdin();
    if input.is_terminal() {
        print::say("The 24 words, in their order, on one line or on several:");
    }
    let mut text = String::new();
    let mut input = input.lock().take(WORDS_MAX);
    while text.split_whitespace().count() < WORDS && input.read_line(&mut text)? > 0 {}
    Ok(text)
}

fn lines(words: &[String]) -> Vec<String> {
    let rows = words.len().div_ceil(COLUMNS);
    let cell = |at: usize| {
        let word = words.get(at)?;
        Some(format!("{:>2}. {:<10}", at + 1, print::text(word)))
    };
    let row = |row: usize| {
        (0..COLUMNS)
            .filter_map(|column| cell(column * rows + row))
            .collect()
    };
    (0..rows)
        .map(row)
        .map(|line: Vec<String>| line.concat().trim_end().to_owned())
        .collect()
}

pub async fn check(given: &[String], settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    let words = if given.is_empty() {
        let phrase: view::Phrase = client.ask(Command::AccountPhrase {}).await?;
        asked(phrase.ask).await?
    } else {
        let parsed: Result<Vec<_>, _> = given.iter().map(|one| parse(one)).collect();
        parsed?
    };
    client.call(Command::AccountPhraseCheck { words }).await?;
    print::say("These are the words of your account. Keep them well.");
    Ok(())
}

/// `7=word`.
fn parse(given: &str) -> Result<PhraseWord, Failure> {
    let parts = given.split_once('=');
    let parsed = parts.and_then(|(number, word)| Some((number.trim().parse().ok()?, word)));
    match parsed {
        Some((number, word)) => Ok(PhraseWord {
            number,
            word: word.to_owned(),
        }),
        None => Err(usage("give each word with its number, as 7=word")),
    }
}

async fn asked(numbers: Vec<u8>) -> Result<Vec<PhraseWord>, Failure> {
    let asked = tokio::task::spawn_blocking(move || {
        let numbers = numbers.into_iter();
        numbers.map(answer).collect::<io::Result<Vec<_>>>()
    });
    let words = asked.await.map_err(io::Error::other);
    words
        .and_then(|words| words)
        .map_err(|_| usage("nobody answers here; give three words as 7=word, with their numbers"))
}

fn answer(number: u8) -> io::Result<PhraseWord> {
    print::say(&format!("Word {number}:"));
    let mut word = String::new();
    if io::stdin().lock().take(ANSWER_MAX).read_line(&mut word)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(PhraseWord {
        number,
        word: word.trim().to_owned(),
    })
}

fn usage(sentence: &str) -> Failure {
    Failure::new(ErrorKind::Usage, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_columns_with_their_numbers() {
        let words: Vec<String> = (1..=24).map(|number| format!("w{number}")).collect();
        let lines = lines(&words);
        assert_eq!(lines.len(), 6);
        assert_eq!(
            lines[0],
            " 1. w1         7. w7        13. w13       19. w19"
        );
        assert!(lines[5].ends_with("24. w24"));
    }

    #[test]
    fn a_word_is_given_with_its_number() {
        let word = parse("7=Abandon").unwrap();
        assert_eq!((word.number, word.word.as_str()), (7, "Abandon"));
        for odd in ["", "abandon", "x=abandon", "300=abandon", "-1=abandon"] {
            assert_eq!(parse(odd).unwrap_err().data.kind, ErrorKind::Usage, "{odd}");
        }
    }
}
