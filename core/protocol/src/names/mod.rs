//! Unique names: who has which ([`book`]), who gives them ([`registrar`]) and whom he hears first ([`attendance`]), how far the log of it goes and who signed which part
//! ([`history`]), who keeps a copy ([`mirror`]), who looks whether everybody is shown the same ([`watch`]), and how often somebody may
//! search.

use std::time::Duration;

pub mod attendance;
pub mod book;
pub mod history;
pub mod mirror;
pub mod registrar;
pub mod watch;

/// `SEARCH-04`: searches of one asker: so many at once, and then one in so long.
pub const SEARCHES_OF_ONE: (u32, Duration) = (30, Duration::from_secs(60));
/// Of all from one block of addresses. So people who look for somebody notice nothing, and whoever wants to copy all names needs
/// longer than they stay the same.
pub const SEARCHES_OF_BLOCK: (u32, Duration) = (300, Duration::from_secs(6));
