//! What holds for any bytes: shared by the ordinary tests and the fuzz target.

use mainstay_faults::{Move, Source, Style, render_all};
use mainstay_spec::{check, explain, parse_file, sources};

/// Parses, checks, explains and renders these bytes and asserts what holds for all.
pub(crate) fn answer(bytes: &[u8]) {
    let (faults, texts) = match parse_file("mainstay.yaml", bytes) {
        Err(faults) => (faults, vec![Source::new("mainstay.yaml", bytes)]),
        Ok(tree) => match check(&tree, None, &[]) {
            Ok(all) => {
                for resolved in &all {
                    for name in resolved.platform.services.keys() {
                        let path = format!("services.{name}.replicas");
                        assert!(explain(resolved, &path).is_ok(), "{path}");
                    }
                }
                return;
            }
            Err(faults) => (faults, sources(&tree, &[])),
        },
    };
    assert!(!faults.is_empty(), "refused without a reason");
    let places: Vec<_> = faults
        .iter()
        .filter_map(|fault| fault.place.as_ref())
        .collect();
    assert!(
        places.is_sorted_by_key(|place| (place.line, place.column)),
        "{faults:#?}"
    );
    assert!(
        faults.iter().all(|fault| fault.whose == Move::You),
        "{faults:#?}"
    );
    let shown = render_all(&faults, &texts, Style::default());
    let steers = |found: char| found.is_control() && found != '\n';
    assert!(!shown.contains(steers), "{shown:?}");
}
