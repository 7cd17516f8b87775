//! The tracking of one connection.

use super::Tracker;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::Db;
use kinovar_command::keyspace::{Reader, Unavailable};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// What a connection has asked for.
pub struct Tracked {
    /// The connection as a reader of keys.
    pub reader: Arc<Reader>,
    /// Its prefixes, if all changes are meant.
    pub prefixes: BTreeSet<Box<[u8]>>,
    /// Which reads are remembered.
    pub opt: Opt,
}

/// Which reads are remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opt {
    /// All.
    All,
    /// Those behind `CLIENT CACHING YES`.
    In,
    /// All but those behind `CLIENT CACHING NO`.
    Out,
}

/// The arguments of `CLIENT TRACKING ON`.
pub struct Wanted<'a> {
    /// The client to redirect to.
    pub redirect: Option<Arc<crate::clients::ClientInfo>>,
    /// All changes to keys with these prefixes are meant.
    pub broadcast: Option<Vec<&'a [u8]>>,
    /// Which reads are remembered.
    pub opt: Opt,
    /// Its own changes are not meant.
    pub noloop: bool,
}

impl Session {
    /// Whether keys are tracked for the connection.
    pub fn is_tracking(&self) -> bool {
        self.info.tracking.on.load(Relaxed)
    }

    /// Begins to track keys for the connection, or goes on doing so in another way.
    ///
    /// # Errors
    /// A script has a partition.
    pub fn track(&mut self, server: &Server, db: &mut Db<'_>, wanted: Wanted<'_>) -> Result<(), Unavailable> {
        let shown = &self.info.tracking;
        let was_on = shown.on.load(Relaxed);
        if wanted.broadcast.is_some() && !was_on {
            server.tracking.prefixes.join(db)?;
        }
        let tracked = self.tracked.get_or_insert_with(|| {
            let tracker = Tracker { client: self.info.clone(), target: Default::default() };
            let reader = Arc::new(Reader { client: Box::new(tracker) });
            Box::new(Tracked { reader, prefixes: BTreeSet::new(), opt: Opt::All })
        });
        tracked.opt = wanted.opt;
        shown.redirect.store(wanted.redirect.as_ref().map_or(0, |target| target.id), Relaxed);
        shown.broken.store(false, Relaxed);
        shown.noloop.store(wanted.noloop, Relaxed);
        *Tracker::of(&tracked.reader).target.lock().unwrap_or_else(PoisonError::into_inner) = wanted.redirect;
        if let Some(prefixes) = wanted.broadcast {
            shown.broadcast.store(true, Relaxed);
            for prefix in prefixes {
                if tracked.prefixes.insert(prefix.into()) {
                    server.tracking.prefixes.add(prefix, &tracked.reader);
                }
            }
        }
        shown.on.store(true, Relaxed);
        server.tracking.change(|all| drop(all.insert(self.info.id, tracked.reader.clone())));
        self.listening_changed();
        self.tracking_changed();
        Ok(())
    }

    /// Does not track keys for the connection any more.
    pub fn stop_tracking(&mut self, server: &Server) {
        let shown = &self.info.tracking;
        if !shown.on.swap(false, Relaxed) {
            return;
        }
        self.caching = false;
        if let Some(tracked) = &mut self.tracked {
            for prefix in std::mem::take(&mut tracked.prefixes) {
                server.tracking.prefixes.remove(&prefix, &tracked.reader);
            }
            tracked.opt = Opt::All;
        }
        if shown.broadcast.swap(false, Relaxed) {
            server.tracking.prefixes.leave();
        }
        for flag in [&shown.noloop, &shown.broken] {
            flag.store(false, Relaxed);
        }
        shown.redirect.store(0, Relaxed);
        server.tracking.change(|all| drop(all.remove(&self.info.id)));
        self.listening_changed();
        self.tracking_changed();
    }

    /// `CLIENT CACHING`, for the next command, or not any more.
    pub fn set_caching(&mut self, caching: bool) {
        self.caching = caching;
        self.tracking_changed();
    }

    /// Derives whether reads are remembered.
    fn tracking_changed(&mut self) {
        self.is_plain = false;
        let Some(tracked) = &self.tracked else { return };
        let wanted = match tracked.opt {
            Opt::All => true,
            Opt::In => self.caching,
            Opt::Out => !self.caching,
        };
        let shown = &self.info.tracking;
        self.tracks_reads = wanted && shown.on.load(Relaxed) && !shown.broadcast.load(Relaxed);
    }
}
