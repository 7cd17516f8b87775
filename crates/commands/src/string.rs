//! To come.

use kinovar_command::Command;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[];
