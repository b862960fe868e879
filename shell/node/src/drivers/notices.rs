//! What supernodes say to us unasked: one connection with one [`Notice`] each. Every contact names supernodes of its
//! own, so none of them may keep the others, and our home above all, from being heard.

use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{NOTICE_MAX, Notice};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use super::turns::Turns;
use crate::transport::front_door::Arrival;
use crate::transport::stream;

/// For a notice to be there.
const NOTICE_TIME: Duration = Duration::from_secs(10);
/// Notices of one supernode that are read at once. An honest one says a few: its contacts of ours that came or went.
const NOTICES_OF_ONE: usize = 16;
/// Our home may say as much at once as a supernode says at all.
const NOTICES_OF_HOME: usize = 1_000;
/// And all that are not our home together.
const NOTICES_OF_OTHERS: usize = 512;
/// Notices that were read and not yet taken.
const READ: usize = 64;

/// Notices that are being read.
#[derive(Debug)]
pub struct Notices {
    reading: JoinSet<()>,
    read: mpsc::Receiver<(EndpointKey, Notice)>,
    reader: mpsc::Sender<(EndpointKey, Notice)>,
    home: Turns<EndpointKey>,
    others: Turns<EndpointKey>,
}

impl Default for Notices {
    fn default() -> Self {
        let (reader, read) = mpsc::channel(READ);
        Self {
            reading: JoinSet::new(),
            read,
            reader,
            home: Turns::new(NOTICES_OF_HOME, NOTICES_OF_HOME),
            others: Turns::new(NOTICES_OF_ONE, NOTICES_OF_OTHERS),
        }
    }
}

impl Notices {
    /// `HOME-10`: reads what a supernode has to say, if it may have another turn. Others take none from our home.
    pub fn read(&mut self, arrival: Arrival, home: Option<EndpointKey>) {
        while self.reading.try_join_next().is_some() {}
        let turns = if home == Some(arrival.key) {
            &self.home
        } else {
            &self.others
        };
        let Some(turn) = turns.take(arrival.key) else {
            debug!(reason = "too many at once", "turned a notice away");
            arrival.connection.close(1u32.into(), b"too many");
            return;
        };
        let reader = self.reader.clone();
        self.reading.spawn(async move {
            let _turn = turn;
            if let Some(notice) = read_notice(&arrival).await {
                let _ = reader.send((arrival.key, notice)).await;
                // PRESENCE-11: whoever said it closes. Were we to, it might not learn that it was heard, and tell us no more.
                let _ = tokio::time::timeout(NOTICE_TIME, arrival.connection.closed()).await;
            }
        });
    }

    /// The next notice; waits while there is none.
    pub async fn next(&mut self) -> Option<(EndpointKey, Notice)> {
        self.read.recv().await
    }
}

async fn read_notice(arrival: &Arrival) -> Option<Notice> {
    let read = async {
        let mut receive = arrival.connection.accept_uni().await.ok()?;
        stream::read::<Notice>(&mut receive, NOTICE_MAX)
            .await
            .ok()
            .flatten()
    };
    tokio::time::timeout(NOTICE_TIME, read).await.ok().flatten()
}
