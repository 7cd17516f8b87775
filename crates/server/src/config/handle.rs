//! The configuration of a running server: read without a lock, changed under one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use kinovar_command::{glob, until_nul};

use super::kind::Value;
use super::load::Loaded;
use super::param::Mutability;
use super::rewrite;
use super::snapshot::{Config, Who};
use super::store::{Store, os_reason};
use super::table::{self, PARAMS};

/// Does what a changed parameter asks for: binds a port, resizes a list.
pub trait ApplyHook: Send + Sync {
    /// Called once per CONFIG SET that changed at least one of the parameters that the hook was registered for, before anyone
    /// sees the new configuration. `changed` names those parameters.
    ///
    /// # Errors
    /// A refusal in words for the client: the whole CONFIG SET is then undone.
    fn applied(&self, changed: &[&'static str], new: &Config) -> Result<(), String>;

    /// Goes back to `old`, because a later hook has refused. It agreed to these very values once; if it cannot go back, there is no
    /// better state to try.
    fn undone(&self, changed: &[&'static str], old: &Config) {
        let _ = self.applied(changed, old);
    }
}

impl<F> ApplyHook for F
where
    F: Fn(&[&'static str], &Config) -> Result<(), String> + Send + Sync,
{
    fn applied(&self, changed: &[&'static str], new: &Config) -> Result<(), String> {
        self(changed, new)
    }
}

/// Why CONFIG SET was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// A name without a value.
    Syntax,
    /// No such parameter.
    Unknown(Vec<u8>),
    /// A parameter that would not take its value.
    Refused {
        /// The parameter as the client wrote it.
        argument: Vec<u8>,
        /// Why.
        reason: String,
    },
}

impl SetError {
    /// The error reply without its `-`. Names are quoted as the client sent them, which need not be text.
    pub fn message(&self) -> Vec<u8> {
        match self {
            SetError::Syntax => b"ERR syntax error".to_vec(),
            SetError::Unknown(name) => {
                let head = b"ERR Unknown option or number of arguments for CONFIG SET - '";
                [head, until_nul(name), b"'"].concat()
            }
            SetError::Refused { argument, reason } => {
                let head = b"ERR CONFIG SET failed (possibly related to argument '";
                [head, until_nul(argument), b"') - ", reason.as_bytes()].concat()
            }
        }
    }
}

struct Hook {
    /// Positions in the table.
    parameters: Vec<usize>,
    hook: Box<dyn ApplyHook>,
}

/// What CONFIG SET, GET and REWRITE work on.
struct State {
    store: Store,
    file: Option<PathBuf>,
}

struct Shared {
    current: ArcSwap<Config>,
    generation: AtomicU64,
    state: Mutex<State>,
    hooks: Mutex<Vec<Arc<Hook>>>,
}

/// The configuration, shared by everyone. Cloning it is cheap.
#[derive(Clone)]
pub struct ConfigHandle {
    shared: Arc<Shared>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A hook that panicked has left the store whole: values are put one by one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ConfigHandle {
    /// Takes over what was read at start.
    pub fn new(loaded: Loaded) -> ConfigHandle {
        let current = ArcSwap::from_pointee(Config::from_store(&loaded.store));
        let state = Mutex::new(State { store: loaded.store, file: loaded.file });
        let generation = AtomicU64::new(1);
        ConfigHandle { shared: Arc::new(Shared { current, generation, state, hooks: Mutex::default() }) }
    }

    /// The present configuration, for a moment. Wait-free.
    pub fn load(&self) -> Guard<Arc<Config>> {
        self.shared.current.load()
    }

    /// The present configuration, to keep.
    pub fn snapshot(&self) -> Arc<Config> {
        self.shared.current.load_full()
    }

    /// Grows with each change: a reactor reads this one number and loads only when it differs from the one it remembers.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<PathBuf> {
        locked(&self.shared.state).file.clone()
    }

    /// Calls `hook` after changes of these parameters.
    ///
    /// # Panics
    /// When a name is not in the table.
    pub fn on_change(&self, parameters: &[&str], hook: impl ApplyHook + 'static) {
        let at = |name: &&str| table::find(name.as_bytes()).unwrap_or_else(|| panic!("no parameter is called {name}"));
        let hook = Hook { parameters: parameters.iter().map(at).collect(), hook: Box::new(hook) };
        locked(&self.shared.hooks).push(Arc::new(hook));
    }

    /// CONFIG GET: names and values, each name once. A name without wildcards comes back as it was written, and finds hidden
    /// parameters too. O(patterns × parameters).
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let state = locked(&self.shared.state);
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for &pattern in patterns {
            if pattern.iter().any(|b| b"[*?".contains(b)) {
                for (at, param) in PARAMS.iter().enumerate().filter(|(_, p)| !p.hidden) {
                    for name in [Some(param.name), param.alias].into_iter().flatten() {
                        let name = name.as_bytes().to_vec();
                        if glob::matches_ignore_case(pattern, &name) && seen.insert(name.clone()) {
                            found.push((name, state.store.show(at)));
                        }
                    }
                }
            } else if let Some(at) = table::find(pattern)
                && seen.insert(pattern.to_ascii_lowercase())
            {
                found.push((pattern.to_vec(), state.store.show(at)));
            }
        }
        found
    }

    /// CONFIG SET: all pairs or none.
    ///
    /// # Errors
    /// The first refusal; nothing has changed then, and hooks that had been told of the change have been told to go back.
    pub fn set(&self, arguments: &[&[u8]], client_is_local: bool) -> Result<(), SetError> {
        if !arguments.len().is_multiple_of(2) {
            return Err(SetError::Syntax);
        }
        let mut state = locked(&self.shared.state);
        let pairs: Vec<(&[u8], &[u8])> = arguments.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let positions = check_names(&pairs, &state.store, client_is_local)?;
        let keepsakes: Vec<(usize, Value)> = positions.iter().map(|&at| (at, state.store.keepsake(at))).collect();
        let outcome = self.change(&mut state.store, &pairs, &positions);
        match outcome {
            Ok(Some(config)) => self.publish(config),
            Ok(None) => {}
            Err(error) => {
                // Last first, so that a parameter named twice (by its alias) gets its oldest value back.
                for (at, value) in keepsakes.into_iter().rev() {
                    state.store.put(at, value);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sets all values and applies them; the new configuration if anything changed.
    fn change(
        &self,
        store: &mut Store,
        pairs: &[(&[u8], &[u8])],
        positions: &[usize],
    ) -> Result<Option<Config>, SetError> {
        let mut changed: Vec<(usize, &[u8])> = Vec::new();
        for (&(name, value), &at) in pairs.iter().zip(positions) {
            let differs =
                store.set(at, value).map_err(|reason| SetError::Refused { argument: name.to_vec(), reason })?;
            if differs || PARAMS[at].is_reference {
                changed.push((at, name));
            }
        }
        if changed.is_empty() {
            return Ok(None);
        }
        let config = Config::from_store(store);
        self.apply(&changed, &config)?;
        Ok(Some(config))
    }

    fn apply(&self, changed: &[(usize, &[u8])], config: &Config) -> Result<(), SetError> {
        let hooks = locked(&self.shared.hooks).clone();
        let mut told: Vec<(&Arc<Hook>, Vec<&'static str>)> = Vec::new();
        for hook in &hooks {
            let concerned = |(at, _): &&(usize, &[u8])| hook.parameters.contains(at);
            let Some((_, argument)) = changed.iter().find(concerned) else { continue };
            let names: Vec<&'static str> = changed.iter().filter(concerned).map(|(at, _)| PARAMS[*at].name).collect();
            if let Err(reason) = hook.hook.applied(&names, config) {
                let old = self.snapshot();
                for (hook, names) in told.iter().rev() {
                    hook.hook.undone(names, &old);
                }
                return Err(SetError::Refused { argument: argument.to_vec(), reason });
            }
            told.push((hook, names));
        }
        Ok(())
    }

    /// Sets a parameter to what the server itself found possible (a lower `maxclients`, say): immutable ones too, no hooks.
    ///
    /// # Errors
    /// The parameter does not exist or refuses the value.
    pub fn settle(&self, name: &str, value: &str) -> Result<(), String> {
        let at = table::find(name.as_bytes()).ok_or("no such parameter")?;
        let mut state = locked(&self.shared.state);
        state.store.set(at, value.as_bytes())?;
        self.publish(Config::from_store(&state.store));
        Ok(())
    }

    fn publish(&self, config: Config) {
        self.shared.current.store(Arc::new(config));
        // After the store: who sees the new number finds at least this configuration.
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    /// CONFIG REWRITE, with these lines about users; with `all`, defaults are written out too.
    ///
    /// # Errors
    /// The error reply without its `-ERR `; the file is unchanged then.
    pub fn rewrite(&self, users: &[Vec<u8>], all: bool) -> Result<(), String> {
        let state = locked(&self.shared.state);
        let path = state.file.as_ref().ok_or("The server is running without a config file")?;
        let failed = |reason: String| format!("Rewriting config file: {reason}");
        let old = read_if_exists(path).map_err(failed)?;
        rewrite::replace_file(path, &rewrite::rewritten(&old, &state.store, users, all)).map_err(failed)
    }
}

fn read_if_exists(path: &Path) -> Result<Vec<u8>, String> {
    match std::fs::read(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(os_reason(error)),
    }
}

/// Everything that can be wrong before a value is looked at; the positions of the parameters otherwise.
fn check_names(pairs: &[(&[u8], &[u8])], store: &Store, client_is_local: bool) -> Result<Vec<usize>, SetError> {
    let mut seen = HashSet::new();
    let mut positions = Vec::with_capacity(pairs.len());
    for &(name, _) in pairs {
        let at = table::find(name).ok_or_else(|| SetError::Unknown(name.to_vec()))?;
        let refused = |reason: &str| SetError::Refused { argument: name.to_vec(), reason: reason.to_owned() };
        match PARAMS[at].mutability {
            Mutability::Immutable => return Err(refused("can't set immutable config")),
            Mutability::Protected if !Who::of(store, "enable-protected-configs").allows(client_is_local) => {
                return Err(refused("can't set protected config"));
            }
            _ => {}
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(refused("duplicate parameter"));
        }
        positions.push(at);
    }
    Ok(positions)
}
