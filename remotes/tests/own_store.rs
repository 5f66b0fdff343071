//! The example of a store keeps every promise, so that whoever begins with it begins with something that works.

#[path = "../examples/own_store.rs"]
mod own_store;

#[test]
fn the_example_passes_the_examination() {
    own_store::main();
}
