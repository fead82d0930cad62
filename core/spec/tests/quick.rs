//! Quick look.
use mainstay_faults::{Style, render_all};
use mainstay_spec::{check, parse_file, sources};

#[test]
fn look() {
    let path = std::env::var("LOOK").expect("LOOK=file");
    let bytes = std::fs::read(&path).expect("file");
    let result = parse_file("mainstay.yaml", &bytes);
    match result {
        Err(faults) => println!(
            "{}",
            render_all(
                &faults,
                &[mainstay_faults::Source::new("mainstay.yaml", &bytes)],
                Style::default()
            )
        ),
        Ok(tree) => match check(&tree, None, &[]) {
            Ok(all) => println!("{:#?}", all.iter().map(|r| &r.platform).collect::<Vec<_>>()),
            Err(faults) => println!(
                "{}",
                render_all(&faults, &sources(&tree, &[]), Style::default())
            ),
        },
    }
}
