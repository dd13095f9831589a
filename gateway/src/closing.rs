//! How far the gateway is on its way out: what `app` declares, readiness shows and
//! running calls look at. Knows no clock and no call.

use std::sync::Arc;

use tokio::sync::watch;

/// Where a gateway is between its start and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    #[default]
    Serving,
    /// It will stop: calls are served, but should go elsewhere.
    Announced,
    /// Running calls end now, with an error.
    Over,
}

/// One gateway's phase; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Closing(Arc<watch::Sender<Phase>>);

impl Closing {
    /// Where it is.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// It goes on to `phase`; never back.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let is_later = phase > *now;
            *now = phase.max(*now);
            is_later
        });
    }

    /// Until running calls must end.
    pub async fn over(&self) {
        let mut phases = self.0.subscribe();
        let over = phases.wait_for(|phase| *phase == Phase::Over).await;
        over.expect("its sender is borrowed for as long");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn it_goes_one_way_and_wakes_who_waits() {
        let closing = Closing::default();
        let mut over = std::pin::pin!(closing.over());
        assert!(over.as_mut().now_or_never().is_none());
        closing.clone().enter(Phase::Announced);
        assert_eq!(closing.phase(), Phase::Announced);
        assert!(over.as_mut().now_or_never().is_none());
        closing.enter(Phase::Over);
        closing.enter(Phase::Announced);
        assert_eq!(closing.phase(), Phase::Over);
        assert!(over.now_or_never().is_some());
        assert!(closing.over().now_or_never().is_some(), "late comers, too");
    }
}
