//! One connection to one box: both keys are shown, the box is opened if it has to be, then what is asked goes and what is said comes.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream};
use starling_wire::alpn;
use starling_wire::frame;
use starling_wire::ids::{EndpointKey, MailboxId};
use starling_wire::log::frames::{About, Answer, Ask, LOG_FRAME_MAX, Refusal};
use starling_wire::log::grant::Token;
use starling_wire::log::keys::{BoxKeys, Ends, Plan, Side};
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Away, Desk};
use crate::clock::random;
use crate::drivers::supernode::key_of;
use crate::transport::{endpoint, stream};

/// A holder answers within this, while the box is entered.
const ENTER_TIME: Duration = Duration::from_secs(10);
/// For what is said to be taken, and for a body to come.
const TALK_TIME: Duration = Duration::from_secs(30);
/// Room for a body is made as it comes, in pieces of so many bytes.
const PIECE: usize = 64 * 1024;
/// Questions that wait to be sent.
pub const ASKS_MAX: usize = 128;

/// A question, and what follows on the stream.
pub type Question = (Ask, Arc<[u8]>);

/// Where a box is, and what opens it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The holder.
    pub home: SupernodeAddr,
    /// The box there.
    pub mailbox: MailboxId,
    /// Its keys.
    pub keys: BoxKeys,
    /// What the box follows from.
    pub plan: Plan,
}

/// What a visit reports.
#[derive(Debug)]
pub enum Report {
    /// Both keys were shown; from now on this is asked.
    Entered(mpsc::Sender<Question>),
    /// Something was said; an item has its body.
    Said(Answer, Option<Arc<[u8]>>),
    /// There is no such box, and it was not to be opened.
    NoBox,
    /// It is over.
    Over(Away),
}

/// A grant that is good for each holder once; got when it is needed first.
#[derive(Debug, Default)]
pub struct Grant(OnceCell<Token>);

impl Grant {
    async fn get(&self, desk: &Desk) -> Result<Token, Away> {
        let got = self.0.get_or_try_init(|| async {
            let granted = (desk.granter)().await;
            granted.map(Token::Granted).map_err(|error| {
                debug!(%error, "no box was granted");
                Away::NoGrant
            })
        });
        got.await.copied()
    }
}

/// One visit.
#[derive(Debug)]
pub struct Visit {
    /// What it works with.
    pub desk: Desk,
    /// Which box.
    pub target: Target,
    /// Opens the box, if it is to be opened where there is none.
    pub grant: Option<Arc<Grant>>,
    /// Whose visit it is, and to whom it reports.
    pub reports: mpsc::Sender<(EndpointKey, u64, Report)>,
    /// Its number: what an earlier one reports is not heard any more.
    pub number: u64,
    /// It is not needed any more.
    pub ends: CancellationToken,
}

impl Visit {
    /// Until it is over.
    pub async fn run(self) {
        let over = match self.visit().await {
            Ok(never) => never,
            Err(over) => over,
        };
        debug!(reason = %over, "a visit to a box is over");
        self.report(Report::Over(over)).await;
    }

    async fn visit(&self) -> Result<Away, Away> {
        let permit = tokio::select! {
            permit = self.desk.visits.acquire() => permit,
            () = self.ends.cancelled() => return Ok(Away::Silence),
        };
        let _permit = permit.map_err(|_| Away::Lost)?;
        let secret = random();
        let own = key_of(&secret);
        let _own = self.desk.carrier.own(own);
        let home = &self.target.home;
        let dialled = self.desk.door.visit(home, &secret, alpn::LOG).await;
        let (from, connection) = dialled.map_err(|error| {
            debug!(%error, "a mailbox holder was not reached");
            Away::Unreachable
        })?;
        let ends = Ends {
            holder: home.id,
            asker: own,
        };
        let talked = tokio::select! {
            talked = self.talk(&connection, ends) => talked,
            () = endpoint::relay_lost(&from) => Err(Away::Lost),
            () = self.ends.cancelled() => Ok(Away::Silence),
        };
        connection.close(0u32.into(), b"over");
        endpoint::close(&from).await;
        talked
    }

    async fn talk(&self, connection: &Connection, ends: Ends) -> Result<Away, Away> {
        let lost = |_| why(connection);
        let (send, receive) = connection.open_bi().await.map_err(|error| end_of(&error))?;
        let mut talk = Talk { send, receive };
        let entering = tokio::time::timeout(ENTER_TIME, self.enter(&mut talk, ends));
        match entering.await {
            Err(_) => return Err(Away::Lost),
            Ok(Err(Away::Lost)) => return Err(why(connection)),
            Ok(Err(Away::Refused(Refusal::NoBox))) => {
                self.report(Report::NoBox).await;
                return Err(Away::Refused(Refusal::NoBox));
            }
            Ok(entered) => entered?,
        }
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        self.report(Report::Entered(asks)).await;
        let Talk { send, receive } = talk;
        tokio::select! {
            asked = ask_all(send, asked) => asked.map_err(lost),
            said = self.hear_all(receive) => said.map_err(lost),
        }
    }

    async fn enter(&self, talk: &mut Talk, ends: Ends) -> Result<(), Away> {
        match self.show(talk, Side::Read, ends).await {
            Err(Away::Refused(Refusal::NoBox)) => {
                let Some(grant) = &self.grant else {
                    return Err(Refusal::NoBox.into());
                };
                self.open(talk, grant).await?;
                self.show(talk, Side::Read, ends).await?;
            }
            shown => shown?,
        }
        self.show(talk, Side::Deposit, ends).await
    }

    async fn open(&self, talk: &mut Talk, grant: &Grant) -> Result<(), Away> {
        let open = Ask::Open {
            token: grant.get(&self.desk).await?,
            plan: Box::new(self.target.plan.clone()),
        };
        talk.ask(&open, &[]).await?;
        match talk.hear().await? {
            (Answer::Opened(mailbox), _) if mailbox == self.target.mailbox => Ok(()),
            (Answer::Refused(About::Open, why), _) => Err(why.into()),
            _ => Err(Away::Lost),
        }
    }

    /// Shows a key. What is said besides belongs to the box, and is reported.
    async fn show(&self, talk: &mut Talk, side: Side, ends: Ends) -> Result<(), Away> {
        let Target { mailbox, keys, .. } = &self.target;
        let enter = Ask::Enter {
            mailbox: *mailbox,
            side,
            proof: side.prove(keys.of(side), *mailbox, ends),
        };
        talk.ask(&enter, &[]).await?;
        loop {
            match talk.hear().await? {
                (Answer::Entered(entered), _) if entered == side => return Ok(()),
                (Answer::Refused(About::Enter, why), _) => return Err(why.into()),
                (said, body) => self.report(Report::Said(said, body)).await,
            }
        }
    }

    async fn hear_all(&self, mut receive: RecvStream) -> Result<Away, Away> {
        loop {
            let (said, body) = hear(&mut receive).await?;
            self.report(Report::Said(said, body)).await;
        }
    }

    async fn report(&self, report: Report) {
        let from = self.target.home.id;
        // Nobody hears it where the log has ended.
        let _ = self.reports.send((from, self.number, report)).await;
    }
}

struct Talk {
    send: SendStream,
    receive: RecvStream,
}

impl Talk {
    async fn ask(&mut self, ask: &Ask, body: &[u8]) -> Result<(), Away> {
        write(&mut self.send, ask, body).await
    }

    async fn hear(&mut self) -> Result<(Answer, Option<Arc<[u8]>>), Away> {
        hear(&mut self.receive).await
    }
}

/// Asks what comes, until nobody asks any more.
async fn ask_all(mut send: SendStream, mut asked: mpsc::Receiver<Question>) -> Result<Away, Away> {
    while let Some((ask, body)) = asked.recv().await {
        let written = tokio::time::timeout(TALK_TIME, write(&mut send, &ask, &body));
        written.await.map_err(|_| Away::Lost)??;
    }
    stream::flush(&mut send).await;
    Ok(Away::Silence)
}

async fn write(send: &mut SendStream, ask: &Ask, body: &[u8]) -> Result<(), Away> {
    let mut bytes = frame::encode(ask);
    bytes.extend_from_slice(body);
    let written = stream::write_bytes(send, &bytes).await;
    written.map_err(|_| Away::Lost)
}

/// One answer, and the body that follows an item.
async fn hear(receive: &mut RecvStream) -> Result<(Answer, Option<Arc<[u8]>>), Away> {
    let read = stream::read::<Answer>(receive, LOG_FRAME_MAX).await;
    let answer = read.ok().flatten().ok_or(Away::Lost)?;
    // BOX-02: bounds before room is made.
    let bytes = answer.body_bytes().map_err(|_| Away::Lost)?;
    if !matches!(answer, Answer::Item { .. }) {
        return Ok((answer, None));
    }
    let mut body = Vec::new();
    let read = async {
        while body.len() < bytes {
            let have = body.len();
            body.resize(bytes.min(have + PIECE), 0);
            receive.read_exact(&mut body[have..]).await.ok()?;
        }
        Some(())
    };
    match tokio::time::timeout(TALK_TIME, read).await {
        Ok(Some(())) => Ok((answer, Some(body.into()))),
        _ => Err(Away::Lost),
    }
}

/// Why a connection ended.
fn why(connection: &Connection) -> Away {
    connection
        .close_reason()
        .map_or(Away::Lost, |error| end_of(&error))
}

fn end_of(error: &ConnectionError) -> Away {
    match error {
        ConnectionError::ApplicationClosed(close) => match &close.reason[..] {
            b"no mailbox" => Away::NoMailbox,
            b"full" => Away::Refused(Refusal::HolderFull),
            _ => Away::Lost,
        },
        _ => Away::Lost,
    }
}
