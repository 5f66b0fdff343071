//! The recorded conversations over stdio, and where the program goes otherwise: for the protocol by itself and for the program.

pub mod behind;
pub mod differences;
pub mod transcript;
