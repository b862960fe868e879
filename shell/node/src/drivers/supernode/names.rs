//! The supernode's copy of the registrar's log: compared with the others' copies, shown to clients, searched (spec page
//! `names.md`). Owns the machines `names::mirror` and `pace`.
//!
//! What the copy takes is on disk before anybody is told of it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use starling_protocol::names::history::History;
use starling_protocol::names::mirror::{Event, Message, Mirror, Persist};
use starling_protocol::names::{SEARCHES_OF_BLOCK, SEARCHES_OF_ONE};
use starling_protocol::pace::Pace;
use starling_store::name_log::{self, Whose};
use starling_store::{StoreError, Tx, name_search};
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::name_log::{Page, SignedEntry};
use starling_wire::name_query::{Found, NameHead, NameQuestion, NameReply, NameWord};
use starling_wire::overlay::{IndexRefusal, Question, Reply, Word};
use starling_wire::record::registrar::Registrar;
use starling_wire::supernode::{Answer, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::Service;
use super::overlay::Overlay;
use crate::clock::{Clock, random, sleep_until, wall_s};
use crate::db::Db;
use crate::transport::overlay::OverlayLinks;

/// Inputs that wait; what is said beyond it is lost, as it may be.
const INPUTS: usize = 64;

type Answering = Box<dyn FnOnce(NameReply) + Send>;

/// The way to the copy. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Names(mpsc::Sender<Input>);

/// What the driver is told.
pub(super) enum Input {
    /// Another supernode said something.
    Word(EndpointKey, Box<NameWord>),
    /// Somebody asks.
    Asked(EndpointKey, NameQuestion, Answering),
}

/// How often clients searched.
#[derive(Debug)]
pub(super) struct Searches {
    of_one: Mutex<Pace<EndpointKey>>,
    of_block: Mutex<Pace<IpAddr>>,
}

impl Default for Searches {
    fn default() -> Self {
        let (one, of_one) = SEARCHES_OF_ONE;
        let (block, of_block) = SEARCHES_OF_BLOCK;
        Self {
            of_one: Mutex::new(Pace::new(one, of_one)),
            of_block: Mutex::new(Pace::new(block, of_block)),
        }
    }
}

impl Searches {
    /// `SEARCH-04`: not faster than people look for people, from one key or from one block of addresses.
    fn may(&self, who: EndpointKey, block: Option<IpAddr>, clock: Clock) -> bool {
        let now = clock.now();
        let mut of_one = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_block = self.of_block.lock().unwrap_or_else(PoisonError::into_inner);
        // The key's own first: who has no turn takes none of the neighbours'.
        of_one.has_room(who, now)
            && block.is_none_or(|block| of_block.take(block, now))
            && of_one.take(who, now)
    }
}

impl Names {
    /// The way, and its end for [`run`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Input>) {
        let (sender, inputs) = mpsc::channel(INPUTS);
        (Self(sender), inputs)
    }

    /// Another supernode said something.
    pub(super) fn hear(&self, from: EndpointKey, word: Box<NameWord>) {
        if self.0.try_send(Input::Word(from, word)).is_err() {
            debug!(reason = "busy", "dropped a word about the name log");
        }
    }

    /// Another supernode asks.
    pub(super) fn answer(
        &self,
        from: EndpointKey,
        question: NameQuestion,
        answer: oneshot::Sender<Reply>,
    ) {
        let reads = matches!(
            question,
            NameQuestion::Head | NameQuestion::At(_) | NameQuestion::From(_)
        );
        if !reads {
            let _ = answer.send(Reply::Refused(IndexRefusal::Malformed));
            return;
        }
        let answering = Box::new(move |reply| drop(answer.send(Reply::Names(reply))));
        let _ = self.0.try_send(Input::Asked(from, question, answering));
    }

    /// A client asks.
    async fn ask(&self, from: EndpointKey, question: NameQuestion) -> Option<NameReply> {
        let (answer, reply) = oneshot::channel();
        let answering = Box::new(move |reply| drop(answer.send(reply)));
        let input = Input::Asked(from, question, answering);
        self.0.send(input).await.ok()?;
        reply.await.ok()
    }
}

impl Service {
    /// A client's question about names, or what a registrar brings.
    pub(super) async fn about_names(
        &self,
        asker: EndpointKey,
        question: NameQuestion,
    ) -> Result<Answer, Refusal> {
        match &question {
            NameQuestion::Office(_) | NameQuestion::Entries(_) => {
                self.account_of(asker).await?;
            }
            NameQuestion::Search(_) => {
                let block = self.relay.block_of(asker);
                if !self.searches.may(asker, block, self.clock) {
                    return Err(Refusal::TooManySearches);
                }
            }
            _ => {}
        }
        let among = self.among().ok_or(Refusal::Full)?;
        let reply = match among.network {
            Some(_) => among
                .names
                .ask(asker, question)
                .await
                .ok_or(Refusal::Full)?,
            None => NameReply::Head(Box::default()),
        };
        Ok(Answer::Names(reply))
    }
}

/// What the copy works with.
pub(super) struct Desk {
    pub(super) network: NetworkId,
    pub(super) overlay: Overlay,
    pub(super) links: Arc<OverlayLinks>,
    pub(super) db: Db,
    pub(super) clock: Clock,
}

/// Keeps the copy until its task ends.
pub(super) async fn run(desk: Desk, mut inputs: mpsc::Receiver<Input>) {
    let Some(mirror) = load(&desk).await else {
        return;
    };
    let mut driver = Driver {
        mirror,
        desk,
        tasks: JoinSet::new(),
    };
    loop {
        let wake = driver.desk.clock.instant(driver.mirror.poll_timeout().at);
        let mut after = None;
        tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => after = driver.handle(input),
                None => return,
            },
            Some(done) = driver.tasks.join_next(), if !driver.tasks.is_empty() => {
                if let Ok(done) = done {
                    driver.done(done);
                }
            }
            () = sleep_until(Some(wake)) => driver.timeout(),
        }
        let kept = driver.drain().await;
        if let Some(answer) = after
            && kept
        {
            answer(NameReply::Head(Box::new(driver.head())));
        }
    }
}

async fn load(desk: &Desk) -> Option<Mirror> {
    let network = desk.network;
    let kept = desk.db.write(move |tx| {
        let kept = name_log::load(tx, Whose::Copy, network)?;
        if kept.positions.is_empty() {
            name_search::rebuild(tx)?;
        }
        Ok(kept)
    });
    match kept.await {
        Ok(kept) => {
            let history = History::new(network, kept.offices, kept.positions);
            let (seed, now) = (u64::from_le_bytes(random()), desk.clock.now());
            Some(Mirror::new(network, history, kept.proof, seed, now))
        }
        Err(error) => {
            warn!(%error, "the copy of the name log could not be read");
            None
        }
    }
}

struct Driver {
    mirror: Mirror,
    desk: Desk,
    tasks: JoinSet<Done>,
}

enum Done {
    Head(EndpointKey, Option<Box<NameHead>>),
    Page(EndpointKey, Option<Page>),
    Nothing,
}

impl Driver {
    fn timeout(&mut self) {
        self.mirror.handle_others(self.desk.overlay.keys());
        self.mirror.handle_timeout(self.desk.clock.now());
    }

    /// What has to be answered when it is on disk.
    fn handle(&mut self, input: Input) -> Option<Answering> {
        let now = self.desk.clock.now();
        self.mirror.handle_others(self.desk.overlay.keys());
        match input {
            Input::Word(from, word) => match *word {
                NameWord::Head(head) => self.mirror.handle_head(from, &head, now),
                NameWord::Office(office) => self.mirror.handle_office(&office),
                NameWord::Proof(proof) => self.mirror.handle_proof(proof),
            },
            Input::Asked(_, NameQuestion::Office(office), answer) => {
                self.mirror.handle_office(&office);
                return Some(answer);
            }
            Input::Asked(from, NameQuestion::Entries(page), answer) => {
                if !self.has(&page) {
                    self.mirror.handle_page(from, *page, now);
                }
                return Some(answer);
            }
            Input::Asked(_, NameQuestion::Head, answer) => {
                answer(NameReply::Head(Box::new(self.head())));
            }
            Input::Asked(_, NameQuestion::At(height), answer) => {
                let said = self.mirror.history().at(height);
                answer(NameReply::At(said.map(Box::new)));
            }
            Input::Asked(_, NameQuestion::From(begin), answer) => self.page(begin, answer),
            Input::Asked(_, NameQuestion::Last(name), answer) => {
                self.find(answer, move |tx| {
                    let last = name_log::last(tx, Whose::Copy, &name)?;
                    Ok(last.into_iter().collect())
                });
            }
            Input::Asked(_, NameQuestion::Search(text), answer) => {
                self.find(answer, move |tx| name_search::search(tx, &text, wall_s()));
            }
        }
        None
    }

    /// Whether it ends with what is here: then its signatures are not worth a look.
    fn has(&self, page: &Page) -> bool {
        let last = page.entries.last().map(|signed| &signed.entry);
        last.is_some_and(|last| {
            let own = self.mirror.history().at(last.height);
            own.is_some_and(|own| own.position.hash == last.hash())
        })
    }

    fn head(&self) -> NameHead {
        let history = self.mirror.history();
        NameHead {
            office: history.office().cloned(),
            head: history.last(),
            proof: self.mirror.proof().cloned(),
        }
    }

    fn page(&mut self, begin: u64, answer: Answering) {
        let history = self.mirror.history();
        let Some(by) = history.signer(begin).cloned() else {
            return answer(NameReply::Page(None));
        };
        let (db, end) = (self.desk.db.clone(), history.end_of(&by));
        self.tasks.spawn(async move {
            let page = db.read(move |tx| name_log::page(tx, Whose::Copy, by, (begin, end)));
            let page = page.await.ok().flatten();
            answer(NameReply::Page(page.map(Box::new)));
            Done::Nothing
        });
    }

    /// Entries, each with whoever signed it.
    fn find<F>(&mut self, answer: Answering, work: F)
    where
        F: FnOnce(&Tx<'_>) -> Result<Vec<SignedEntry>, StoreError> + Send + 'static,
    {
        let db = self.desk.db.clone();
        let offices: Vec<Registrar> = self.mirror.history().offices().to_vec();
        let history = History::new(self.desk.network, offices, Vec::new());
        self.tasks.spawn(async move {
            let found = db.read(work).await.unwrap_or_default().into_iter();
            let found = found.filter_map(|entry| {
                let registrar = history.signer(entry.entry.height)?.clone();
                Some(Found { registrar, entry })
            });
            answer(NameReply::Found(found.collect()));
            Done::Nothing
        });
    }

    fn done(&mut self, done: Done) {
        let now = self.desk.clock.now();
        match done {
            Done::Head(from, Some(said)) => self.mirror.handle_said(from, *said, now),
            Done::Page(from, Some(page)) => self.mirror.handle_page(from, page, now),
            Done::Head(from, None) | Done::Page(from, None) => self.mirror.handle_silence(from),
            Done::Nothing => {}
        }
    }

    /// Whether everything is on disk.
    async fn drain(&mut self) -> bool {
        let persists: Vec<Persist> = std::iter::from_fn(|| self.mirror.poll_persist()).collect();
        let mut kept = true;
        if !persists.is_empty() {
            let written = self.desk.db.write(move |tx| persist(tx, &persists)).await;
            kept = written.is_ok();
            if let Err(error) = written {
                warn!(%error, "the copy of the name log could not be written");
                if let Some(mirror) = load(&self.desk).await {
                    self.mirror = mirror;
                }
            }
        }
        self.say();
        kept
    }

    fn say(&mut self) {
        while let Some((to, message)) = self.mirror.poll_transmit() {
            self.transmit(to, message);
        }
        while let Some(event) = self.mirror.poll_event() {
            match event {
                Event::Grown(height) => debug!(height, "the copy of the name log grew"),
                Event::Office(epoch) => info!(epoch, "the network has this registrar"),
                Event::Alarm => info!("the network's registrar contradicts itself"),
            }
        }
    }

    fn transmit(&mut self, to: EndpointKey, message: Message) {
        let (links, peer) = (Arc::clone(&self.desk.links), self.desk.overlay.peer(to));
        self.tasks.spawn(async move {
            let ask = |question| async {
                match links.ask(&peer, &Question::Names(question)).await {
                    Ok(Reply::Names(reply)) => Some(reply),
                    _ => None,
                }
            };
            let word = match message {
                Message::AskHead => {
                    return match ask(NameQuestion::Head).await {
                        Some(NameReply::Head(head)) => Done::Head(to, Some(head)),
                        _ => Done::Head(to, None),
                    };
                }
                Message::AskFrom(begin) => {
                    return match ask(NameQuestion::From(begin)).await {
                        Some(NameReply::Page(page)) => Done::Page(to, page.map(|page| *page)),
                        _ => Done::Page(to, None),
                    };
                }
                Message::Office(office) => NameWord::Office(office),
                Message::Head(head) => NameWord::Head(head),
                Message::Proof(proof) => NameWord::Proof(proof),
            };
            let _ = links.say(&peer, &Word::Names(Box::new(word))).await;
            Done::Nothing
        });
    }
}

fn persist(tx: &Tx<'_>, persists: &[Persist]) -> Result<(), StoreError> {
    for persist in persists {
        match persist {
            Persist::Office(office) => name_log::appoint(tx, Whose::Copy, office)?,
            Persist::Keep(height) => {
                name_log::keep(tx, Whose::Copy, *height)?;
                name_search::rebuild(tx)?;
            }
            Persist::Append(page) => {
                name_log::append(tx, Whose::Copy, page.entries())?;
                for signed in page.entries() {
                    name_search::apply(tx, signed)?;
                }
            }
            Persist::Proof(proof) => name_log::prove(tx, Whose::Copy, proof)?,
        }
    }
    Ok(())
}
