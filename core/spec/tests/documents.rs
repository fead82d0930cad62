//! The generated documents in the repository are those that the table makes.

use std::path::Path;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "blessing is asked for by the environment, in this test only"
)]
fn documents_do_not_drift() {
    for (path, text) in mainstay_spec::documents() {
        let file = root().join(path);
        if std::env::var("MAINSTAY_BLESS").is_ok() {
            std::fs::create_dir_all(file.parent().expect("a document lies in a folder"))
                .expect("the folder is writable");
            std::fs::write(&file, &text).expect("the document is writable");
        }
        let stored = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            stored == text,
            "{path} is out of date: run `cargo xtask bless`"
        );
    }
}
