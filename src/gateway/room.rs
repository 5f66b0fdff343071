//! Room that is reserved for an upload.

use super::off_this_thread;
use crate::annex::sizes::Reservation;

/// Room for an upload, given back when this is dropped.
#[derive(Default)]
pub(in crate::gateway) struct Room(Option<Reservation>);

impl Room {
    /// That of a reservation.
    pub(in crate::gateway) fn of(reservation: Reservation) -> Self {
        Self(Some(reservation))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It takes the database for a moment.
        if let Some(reservation) = self.0.take() {
            off_this_thread(reservation);
        }
    }
}
