//! Function libraries. All reactors share what is known of them; changing it makes a new version of the whole.

use kinovar_script::Flags;
use kinovar_script::library::Registered;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its text, first line included.
    pub text: Box<[u8]>,
    /// Where its code begins.
    pub code: usize,
    /// Its functions, in the order in which it registers them.
    pub functions: Vec<Function>,
}

/// A function, as all reactors know it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What its author says about it.
    pub description: Option<Vec<u8>>,
    /// What it promises.
    pub flags: Flags,
}

impl From<&Registered> for Function {
    fn from(function: &Registered) -> Function {
        Function { name: function.name.clone(), description: function.description.clone(), flags: function.flags }
    }
}

/// All libraries at one moment.
#[derive(Clone, Default, Debug)]
pub struct Shelf {
    libraries: BTreeMap<String, Arc<Library>>,
    /// Functions by name in lower case, with their library.
    functions: BTreeMap<String, (Arc<Library>, usize)>,
}

impl Shelf {
    /// The libraries by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &Arc<Library>> {
        self.libraries.values()
    }

    /// A library.
    pub fn library(&self, name: &str) -> Option<&Arc<Library>> {
        self.libraries.get(name)
    }

    /// A function, in any case, with its library.
    pub fn function(&self, name: &[u8]) -> Option<(&Arc<Library>, &Function)> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let (library, index) = self.functions.get(&name)?;
        Some((library, &library.functions[*index]))
    }

    /// Number of functions.
    pub fn function_count(&self) -> usize {
        self.libraries.values().map(|library| library.functions.len()).sum()
    }

    /// Adds a library, in the place of the one of its name if `replace` is set.
    ///
    /// # Errors
    /// A text for the client: there is such a library, or another one has such a function.
    pub fn add(&mut self, library: Arc<Library>, replace: bool) -> Result<(), String> {
        let old = self.libraries.get(&library.name).cloned();
        if old.is_some() && !replace {
            return Err(format!("Library '{}' already exists", library.name));
        }
        for function in &library.functions {
            if let Some((owner, _)) = self.functions.get(&function.name.to_ascii_lowercase())
                && owner.name != library.name
            {
                return Err(format!("Function {} already exists", function.name));
            }
        }
        if old.is_some() {
            self.remove(&library.name);
        }
        for (index, function) in library.functions.iter().enumerate() {
            self.functions.entry(function.name.to_ascii_lowercase()).or_insert((library.clone(), index));
        }
        self.libraries.insert(library.name.clone(), library);
        Ok(())
    }

    /// Removes a library; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let removed = self.libraries.remove(name).is_some();
        if removed {
            self.functions.retain(|_, (library, _)| library.name != name);
        }
        removed
    }
}

/// What is known of libraries.
#[derive(Default)]
pub struct Libraries {
    shelf: Mutex<Arc<Shelf>>,
    version: AtomicU64,
}

impl Libraries {
    /// All libraries as of now.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Shelf>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes with every change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Changes the libraries, unless `change` fails: then nothing has happened.
    pub fn change<R, E>(&self, change: impl FnOnce(&mut Shelf) -> Result<R, E>) -> Result<R, E> {
        let mut shelf = self.lock();
        let mut next = (**shelf).clone();
        let result = change(&mut next)?;
        *shelf = Arc::new(next);
        self.version.fetch_add(1, Release);
        Ok(result)
    }

    /// Bytes that they take.
    pub fn memory_bytes(&self) -> usize {
        let shelf = self.shelf();
        let library = |library: &Arc<Library>| size_of::<Library>() + library.name.len() + library.text.len();
        let function = |function: &Function| size_of::<Function>() + function.name.len();
        let functions = shelf.libraries().flat_map(|library| &library.functions);
        shelf.libraries().map(library).sum::<usize>() + functions.map(function).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Arc<Library> {
        let function = |name: &&str| Function { name: name.to_string(), description: None, flags: Flags::NONE };
        let functions = functions.iter().map(function).collect();
        Arc::new(Library { name: name.into(), text: Box::default(), code: 0, functions })
    }

    #[test]
    fn names_are_taken_once() {
        let mut shelf = Shelf::default();
        shelf.add(library("a", &["f", "g"]), false).unwrap();
        assert_eq!(shelf.add(library("a", &["h"]), false), Err("Library 'a' already exists".into()));
        assert_eq!(shelf.add(library("b", &["F"]), false), Err("Function F already exists".into()));
        assert_eq!(shelf.add(library("b", &["G"]), true), Err("Function G already exists".into()));
        shelf.add(library("a", &["G", "h"]), true).unwrap();
        assert!(shelf.function(b"f").is_none());
        assert_eq!(shelf.function(b"g").unwrap().1.name, "G");
        assert_eq!((shelf.libraries().len(), shelf.function_count()), (1, 2));
        assert!(shelf.remove("a") && !shelf.remove("a"));
        assert!(shelf.function(b"h").is_none());
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let libraries = Libraries::default();
        libraries.change(|shelf| shelf.add(library("a", &["f"]), false)).unwrap();
        let version = libraries.version();
        let failed = libraries.change(|shelf| {
            shelf.add(library("b", &["g"]), false)?;
            shelf.add(library("c", &["g"]), false)
        });
        assert!(failed.is_err());
        assert_eq!((libraries.version(), libraries.shelf().libraries().len()), (version, 1));
    }
}
