//! The log as a sim file.

use std::io::{self, Write};

use super::history::Entry;
use super::world::World;

/// Writes the log of a sim, a line for each command and for what it came to.
///
/// # Errors
/// Those of the writer.
pub fn write_log(world: &World, into: &mut dyn Write) -> io::Result<()> {
    let history = &world.history;
    for entry in history.entries() {
        match entry {
            Entry::Text(text) => into.write_all(text)?,
            Entry::Known { file, first, holders } => {
                let [key, add] = world.known_lines(*file, *first, *holders);
                into.write_all(&key.to_bytes())?;
                into.write_all(b"\n")?;
                into.write_all(&add.to_bytes())?;
            }
            Entry::Did { via, file, present } => {
                into.write_all(if *present { b"present " } else { b"notpresent " })?;
                into.write_all(history.name(*via))?;
                into.write_all(b" ")?;
                into.write_all(world.files.name(*file))?;
            }
        }
        into.write_all(b"\n")?;
    }
    Ok(())
}

/// The same in memory.
pub fn log(world: &World) -> Vec<u8> {
    let mut all = Vec::new();
    write_log(world, &mut all).expect("memory takes it");
    all
}
