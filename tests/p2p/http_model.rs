//! The fuzz targets of HTTP over their seeds, and over every small change of them.

use std::path::PathBuf;

use git_annex_remote_stream::proto::http::fuzz;

/// Runs `body` over the named files of a target's corpus: whole, cut short anywhere, and with any byte lost or replaced.
fn run_seeds(target: &str, body: fn(&[u8])) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/corpus").join(target);
    // Files named by a hash are what a fuzzer left here; the seeds have names.
    let seeds: Vec<_> = std::fs::read_dir(&directory)
        .expect("the seeds are part of the source")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.file_name().is_some_and(|name| name.len() != 40))
        .map(|path| std::fs::read(path).expect("a readable seed"))
        .collect();
    assert!(seeds.len() >= 5, "seeds of {target} are missing");
    let run = |input: &[u8]| {
        if let Err(panic) = std::panic::catch_unwind(|| body(input)) {
            println!("{target}: input {}", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    };
    for seed in seeds {
        run(&seed);
        for at in 0..seed.len() {
            run(&seed[..at]);
            run(&[&seed[..at], &seed[at + 1..]].concat());
            for byte in *b"\r\n :;/?&=%[0a\0\xff" {
                let mut input = seed.clone();
                input[at] = byte;
                run(&input);
            }
        }
    }
}

#[test]
fn the_head_target_survives_its_seeds_and_small_changes() {
    run_seeds("http_head", fuzz::head);
}

#[test]
fn the_body_target_survives_its_seeds_and_small_changes() {
    run_seeds("http_body", fuzz::body);
}
