//! Periodic work of a server for the remotes behind its repositories.

use std::sync::Arc;
use std::time::Duration;

use remotes::Context;

use super::log::Log;
use super::shared::Shared;
use crate::annex::unfinished::keep;
use crate::gateway::node::store::unfinished::{self, Fate, Leftover, Sweep};
use crate::gateway::{Failure, LocalRepository, blocking};
use crate::resolve::environment;

/// How often uploads that were not finished are looked for.
const UPKEEP: Duration = Duration::from_secs(3600);

/// Undoes uploads that nobody came back for, once an hour.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Nothing is open yet.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        for served in shared.repositories.opened() {
            let context = shared.limits.context();
            let swept = blocking(move || sweep(&served, &context)).await.and_then(|swept| swept);
            match swept {
                Ok(leftovers) => leftovers.iter().for_each(|leftover| told(&shared.log, leftover)),
                Err(failure) => shared.log.line("upkeep").with("error", failure.to_string()).warn(),
            }
        }
    }
}

fn sweep(served: &LocalRepository, context: &Context) -> Result<Vec<Leftover>, Failure> {
    let older_than = keep(served.repository()).map_err(Failure::internal)?;
    let how = Sweep { older_than, dry_run: false, force: false };
    let work = unfinished::sweep(served.repository(), how, environment, context, &|_, _| {});
    remotes::sys::run(false, work).map_err(|e| Failure::io("undo unfinished uploads", &e))?
}

fn told(log: &Log, leftover: &Leftover) {
    let key = leftover.upload.as_ref().map(|upload| upload.key.as_bytes()).unwrap_or_default();
    match &leftover.fate {
        Fate::Undone => log.line("undone").bytes("key", key).seconds("age", leftover.age).info(),
        Fate::Stays(why) => log.line("undone").bytes("key", key).with("error", why.as_str()).warn(),
        Fate::Kept | Fate::UnderWay | Fate::Due | Fate::Forgotten => {}
    }
}
