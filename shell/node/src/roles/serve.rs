//! The roles at run time: what user and administrator decided is put into effect, shown, changed, and looked at again when
//! a volume is used up or a month turns.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use starling_control::{ErrorKind, Failure, view};
use starling_store::{StoreError, networks, settings};
use tracing::{info, warn};

use super::Role;
use super::candidacy::{self, Promoted};
use super::settings::{Rules, Scope, Standing, Wish, Wishes};
use super::volume::Volume;
use super::{holding, show};
use crate::clock::wall_s;
use crate::context::store_failure;
use crate::drivers::supernode::key_of;
use crate::node::App;

const SETTING: &str = "roles";
/// What was carried is kept so often, and at the end.
const KEEP_EVERY: Duration = Duration::from_secs(60);
const KBIT_MAX: u32 = 10_000_000;

impl App {
    /// What counts now.
    pub(crate) async fn rules(&self) -> Result<Rules<'_>, StoreError> {
        let joined = self.joined().await?;
        let owner = joined.as_ref().is_some_and(|joined| joined.owner.is_some());
        let seed = self.db.read(networks::own_supernode).await?;
        let own = seed.map(|seed| key_of(&seed));
        let listed = joined.as_ref().is_some_and(|joined| {
            let supernodes = joined.supernodes.iter();
            joined.file.is_some() && supernodes.map(|one| Some(one.id)).any(|id| id == own)
        });
        Ok(Rules {
            policy: self.config.policy(),
            wishes: self.wishes().await?,
            standing: Standing {
                answered: owner || self.config.supernode,
                alone: joined.is_none(),
                carried: self.carried_this_month(),
                listed,
                candidate: self.candidacy.get(),
            },
        })
    }

    pub(super) async fn wishes(&self) -> Result<Wishes, StoreError> {
        let text = self.db.read(|tx| settings::get(tx, SETTING)).await?;
        let Some(text) = text else {
            return Ok(Wishes::default());
        };
        serde_json::from_str(&text).map_err(|error| {
            StoreError::Internal(format!("the roles in the profile cannot be read: {error}"))
        })
    }

    pub(super) async fn keep(&self, wishes: Wishes) -> Result<(), StoreError> {
        let text = serde_json::to_string(&wishes);
        let text = text.map_err(|error| StoreError::Internal(error.to_string()))?;
        self.db
            .write(move |tx| settings::set(tx, SETTING, &text))
            .await
    }

    /// Switches and caps as decided; a supernode that runs goes on.
    pub(crate) fn obey(&self, rules: &Rules<'_>) {
        for role in Role::ALL {
            self.carrier.set(role, rules.decide(role).on());
        }
        if rules.scope() == Scope::ThisMachine {
            // Its own letters have no other place.
            self.carrier.set(Role::Mailbox, true);
        }
        self.carrier.set_rates(rules.rates());
    }

    /// Puts what was decided into effect. The caller holds `changing`.
    pub(crate) async fn apply_roles(&self) -> Result<(), Failure> {
        let rules = self.rules().await.map_err(store_failure)?;
        self.obey(&rules);
        let (scope, limits) = (rules.scope(), rules.limits());
        if self.serving().0 == scope {
            self.set_serving(scope, limits);
            if let Some(supernode) = self.supernode() {
                supernode.set_limits(limits);
                supernode.set_holding(rules.holding()).await;
            }
        } else {
            self.stop_supernode().await;
            self.serve_as_before()
                .await
                .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
            self.move_session().await?;
        }
        self.changed.notify_one();
        self.candidacy.reconsider.notify_one();
        Ok(())
    }

    /// The network needs this machine, and others reach it there: from now on it serves.
    pub(crate) async fn promote(&self, at: Option<SocketAddr>) -> Result<(), Failure> {
        info!("the network is nearly full: this machine begins to serve");
        self.set_promoted(Some(Promoted { at })).await
    }

    /// It serves no more; its clients are told first.
    pub(crate) async fn demote(&self) -> Result<(), Failure> {
        if self.candidacy.get().promoted.is_none() {
            return Ok(());
        }
        info!("this machine serves no more");
        self.set_promoted(None).await
    }

    async fn set_promoted(&self, promoted: Option<Promoted>) -> Result<(), Failure> {
        let _one = self.changing.lock().await;
        let stored = self
            .db
            .write(move |tx| candidacy::store(tx, promoted))
            .await;
        stored.map_err(store_failure)?;
        self.candidacy.set_promoted(promoted);
        self.apply_roles().await
    }

    pub(crate) async fn load_candidacy(&self) -> Result<(), StoreError> {
        let promoted = self.db.read(candidacy::load).await?;
        self.candidacy.set_promoted(promoted);
        Ok(())
    }

    /// `roles.show`
    pub async fn roles_view(&self) -> Result<view::Roles, Failure> {
        let rules = self.rules().await.map_err(store_failure)?;
        let caps = rules.caps();
        Ok(view::Roles {
            roles: self.role_views(&rules),
            total_kbit_s: caps.total_kbit_s,
            monthly_gb: caps.monthly_gb,
            month_bytes: rules.standing.carried,
            clients: caps.clients,
            policy: show::policy(&rules),
        })
    }

    /// Each role in words.
    pub(crate) fn role_views(&self, rules: &Rules<'_>) -> Vec<view::Role> {
        let supernode = self.supernode();
        let clients = supernode.as_ref().map_or(0, |one| one.clients());
        let forwarding = supernode.as_ref().and_then(|one| one.forwarding_words());
        let holding = supernode.map(|one| holding::words(&one.holding()));
        let holding = holding.flatten();
        let view = |role: Role| {
            let mut view = show::role(rules, &self.carrier, clients, role);
            let more = match role {
                Role::Relay => forwarding.clone(),
                Role::Mailbox => holding.clone(),
                Role::Supernode => None,
            };
            if let Some(words) = more {
                view.words = format!("{}; {words}", view.words);
            }
            view
        };
        Role::ALL.map(view).to_vec()
    }

    /// `roles.set`
    pub async fn set_role(&self, change: view::RolesChange) -> Result<view::Roles, Failure> {
        let _one = self.changing.lock().await;
        let rules = self.rules().await.map_err(store_failure)?;
        let wishes = changed(&rules, &change)?;
        self.keep(wishes).await.map_err(store_failure)?;
        self.apply_roles().await?;
        self.roles_view().await
    }

    /// `network init` is an answer to the question, for all three.
    pub(crate) async fn answer_yes(&self) -> Result<(), StoreError> {
        let mut wishes = self.wishes().await?;
        for wish in &mut wishes.roles {
            wish.on = Some(true);
        }
        self.keep(wishes).await
    }

    fn carried_this_month(&self) -> u64 {
        let mut volume = self.volume.lock().unwrap_or_else(PoisonError::into_inner);
        volume.count(self.carrier.meter().volume(), wall_s());
        volume.bytes()
    }

    /// Keeps what was carried.
    pub(crate) async fn keep_volume(&self) {
        let volume = {
            let mut volume = self.volume.lock().unwrap_or_else(PoisonError::into_inner);
            volume.count(self.carrier.meter().volume(), wall_s());
            *volume
        };
        if let Err(error) = self.db.write(move |tx| volume.store(tx)).await {
            warn!(%error, "what was carried for others could not be kept");
        }
    }

    pub(crate) async fn load_volume(&self) -> Result<(), StoreError> {
        let volume = self.db.read(Volume::load).await?;
        *self.volume.lock().unwrap_or_else(PoisonError::into_inner) = volume;
        Ok(())
    }
}

/// Looks after volumes until the node ends: `ROLE-04`.
pub async fn watch(app: Arc<App>) {
    let mut kept = app.carrier.meter().volume();
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let shown = app.carrier.meter().volume();
        if shown != kept {
            kept = shown;
            app.keep_volume().await;
        }
        let _one = app.changing.lock().await;
        let Ok(rules) = app.rules().await else {
            continue;
        };
        if (rules.scope(), rules.limits()) == app.serving() {
            app.obey(&rules);
            continue;
        }
        info!(
            reason = "the month's volume",
            "whom this machine serves changes"
        );
        if let Err(error) = app.apply_roles().await {
            warn!(%error, "the roles could not be changed");
        }
    }
}

fn changed(rules: &Rules<'_>, change: &view::RolesChange) -> Result<Wishes, Failure> {
    let usage = |sentence: &str| Failure::new(ErrorKind::Usage, sentence);
    let mut wishes = rules.wishes;
    let roles: Vec<Role> = match &change.role {
        None => Role::ALL.to_vec(),
        Some(name) => {
            let role = Role::ALL.into_iter().find(|role| role.name() == name);
            vec![role.ok_or_else(|| usage("a role is supernode, relay or mailbox"))?]
        }
    };
    if change.role.is_none() && change.cap_kbit_s.is_some() {
        return Err(usage(
            "a cap is of one role; for all together give the total",
        ));
    }
    let caps = [change.cap_kbit_s, change.total_kbit_s];
    if caps.into_iter().flatten().any(|cap| cap > KBIT_MAX) {
        return Err(usage("a cap is at most 10,000,000 kbit/s"));
    }
    for role in roles {
        if change.on == Some(true) && !allowed(rules, role) {
            let sentence = format!("set by your organisation: policy: {} = never", role.name());
            return Err(Failure::new(ErrorKind::Refused, sentence));
        }
        let Wish { on, cap_kbit_s } = &mut wishes.roles[role as usize];
        *on = change.on.or(*on);
        set(cap_kbit_s, change.cap_kbit_s);
    }
    set(&mut wishes.total_kbit_s, change.total_kbit_s);
    set(&mut wishes.monthly_gb, change.monthly_gb);
    set(&mut wishes.clients, change.clients);
    Ok(wishes)
}

fn allowed(rules: &Rules<'_>, role: Role) -> bool {
    rules.permission(role) != starling_wire::policy::Permission::Never
}

fn set(cap: &mut Option<u32>, wish: Option<u32>) {
    match wish {
        None => {}
        Some(0) => *cap = None,
        Some(wish) => *cap = Some(wish),
    }
}

#[cfg(test)]
mod tests {
    use starling_control::view::RolesChange;
    use starling_wire::policy::Policy;

    use super::*;

    #[test]
    fn a_change_touches_what_it_names() {
        let policy = Policy::read("format = 1\n[roles]\nrelay = \"never\"").unwrap();
        let mut rules = Rules {
            policy: &policy,
            wishes: Wishes::default(),
            standing: Standing::default(),
        };
        let change = RolesChange {
            role: Some("mailbox".to_owned()),
            on: Some(true),
            cap_kbit_s: Some(50),
            monthly_gb: Some(3),
            ..RolesChange::default()
        };
        let wishes = changed(&rules, &change).unwrap();
        assert_eq!(
            wishes.roles[2],
            Wish {
                on: Some(true),
                cap_kbit_s: Some(50)
            }
        );
        assert_eq!(wishes.roles[0], Wish::default());
        assert_eq!(wishes.monthly_gb, Some(3));
        rules.wishes = wishes;
        let lift = RolesChange {
            monthly_gb: Some(0),
            ..RolesChange::default()
        };
        let wishes = changed(&rules, &lift).unwrap();
        assert_eq!(
            (wishes.monthly_gb, wishes.roles),
            (None, rules.wishes.roles)
        );
        for bad in [
            RolesChange {
                role: Some("boss".to_owned()),
                ..RolesChange::default()
            },
            RolesChange {
                cap_kbit_s: Some(5),
                ..RolesChange::default()
            },
            RolesChange {
                role: Some("relay".to_owned()),
                on: Some(true),
                ..RolesChange::default()
            },
        ] {
            assert!(changed(&rules, &bad).is_err(), "{bad:?}");
        }
    }
}
