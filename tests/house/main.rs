//! The rules of this house, which need nothing but its files: layers, no circles, and pages that tell the truth.

mod circles;
mod docs;
mod layering;
