//! Bad input: empty, binary, huge, deep, alias bombs, wrong encodings. Each is one clear fault with a
//! place, and costs little.

use mainstay_faults::{Fault, Source, Style, render_all};
use mainstay_spec::{check, parse_file};

const HEAD: &str = "mainstay: 1\nname: shop\n";

/// A text of many lines that differ by a number.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    let lines: Vec<String> = (0..count).map(line).collect();
    lines.concat()
}

fn faults(bytes: &[u8]) -> Vec<Fault> {
    match parse_file("mainstay.yaml", bytes) {
        Err(faults) => faults,
        Ok(tree) => check(&tree, None, &[]).err().unwrap_or_default(),
    }
}

/// The one fault: its code, and its place as `line:column`.
fn one(bytes: &[u8]) -> (String, String) {
    let faults = faults(bytes);
    let [fault] = faults.as_slice() else {
        panic!("one fault: {faults:#?}");
    };
    assert!(fault.hint.is_some(), "{fault:?}");
    let place = fault.place.as_ref().expect("a place");
    (
        fault.code.clone(),
        format!("{}:{}", place.line, place.column),
    )
}

fn code(bytes: &[u8]) -> String {
    one(bytes).0
}

#[test]
fn an_empty_file() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "null", "~", "\u{feff}"] {
        assert_eq!(
            one(text.as_bytes()),
            ("empty_file".into(), "1:1".into()),
            "{text:?}"
        );
    }
}

#[test]
fn a_binary_file() {
    assert_eq!(
        one(b"mainstay: 1\nname: \x00\x01"),
        ("binary".into(), "2:7".into())
    );
    assert_eq!(one(b"\x7fELF\x02\x01\x01"), ("binary".into(), "1:1".into()));
    assert_eq!(one(b"name: \x1b[31mred"), ("binary".into(), "1:7".into()));
}

#[test]
fn a_file_in_another_encoding() {
    assert_eq!(
        one(b"mainstay: 1\nname: caf\xe9\n"),
        ("not_utf8".into(), "2:10".into())
    );
    assert!(faults(b"a: \xff")[0].message.contains("offset 3"));
    assert_eq!(code(b"\xff\xfem\x00a\x00"), "not_utf8");
    assert_eq!(code(b"\xfe\xff\x00m"), "not_utf8");
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let text = format!("\u{feff}{HEAD}services: {{ web: {{ run: ./web, prot: 1 }} }}\n");
    assert_eq!(one(text.as_bytes()), ("unknown_key".into(), "3:32".into()));
}

#[test]
fn a_file_of_ten_megabytes() {
    let text = format!("{HEAD}# {}\n", "x".repeat(10 << 20));
    assert_eq!(one(text.as_bytes()), ("too_large".into(), "1:1".into()));
}

#[test]
fn deep_nesting() {
    for open in ["[", "{ a: ", "- "] {
        let text = format!("{HEAD}services: {}", open.repeat(100_000));
        let code = code(text.as_bytes());
        assert!(
            ["too_deep", "yaml_syntax"].contains(&code.as_str()),
            "{open}: {code}"
        );
    }
    let deep = lines(2000, |level| format!("{}a:\n", " ".repeat(level)));
    assert_eq!(code(deep.as_bytes()), "too_deep");
    let mixed = format!("{HEAD}services: {}", "[{a: ".repeat(60));
    assert_eq!(code(mixed.as_bytes()), "too_deep");
}

#[test]
fn an_alias_bomb() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    bomb += &lines(30, |level| {
        let names = vec![format!("*a{level}"); 9].join(", ");
        format!("a{}: &a{} [{names}]\n", level + 1, level + 1)
    });
    assert_eq!(code(bomb.as_bytes()), "too_many_nodes");
    let many = format!("a: &a x\nb: [{}]\n", vec!["*a"; 5000].join(", "));
    assert_eq!(code(many.as_bytes()), "too_many_aliases");
    let chain = lines(500, |at| format!("a{}: &a{} [*a{at}]\n", at + 1, at + 1));
    assert_eq!(code(format!("a0: &a0 x\n{chain}").as_bytes()), "too_deep");
}

#[test]
fn many_values() {
    let text = format!("{HEAD}services: [{}]\n", "a, ".repeat(400_000));
    assert_eq!(code(text.as_bytes()), "too_many_nodes");
}

#[test]
fn services_that_extend_a_large_one_stay_within_the_budget() {
    let variables = lines(2000, |at| format!("      V{at}: x\n"));
    let children = lines(2000, |at| format!("  s{at}: {{ extends: web }}\n"));
    let text = format!("{HEAD}services:\n  web:\n    run: ./web\n    env:\n{variables}{children}");
    let faults = faults(text.as_bytes());
    assert!(
        faults
            .iter()
            .all(|fault| ["too_many_nodes", "more_errors"].contains(&fault.code.as_str()))
    );
}

#[test]
fn a_thousand_mistakes_are_a_hundred_and_a_number() {
    let keys = lines(5000, |at| format!("    key{at}: x\n"));
    let text = format!("{HEAD}services:\n  web:\n    run: ./web\n{keys}");
    let faults = faults(text.as_bytes());
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100].message, "4900 more errors are not shown");
    assert_eq!(faults[0].place.as_ref().map(|place| place.line), Some(6));
    let sources = [Source::new("mainstay.yaml", text.as_bytes())];
    let shown = render_all(&faults, &sources, Style::default());
    assert!(shown.ends_with("more than 100 errors in mainstay.yaml; nothing was changed\n"));
}

#[test]
fn dangling_names_among_many_services_cost_little() {
    let services = lines(2000, |at| {
        format!("  service-{at}: {{ run: ./s, needs: [nothing-{at}, nothing-else-{at}] }}\n")
    });
    assert_eq!(
        faults(format!("{HEAD}services:\n{services}").as_bytes()).len(),
        101
    );
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let text = format!("{HEAD}services: {{ \"w\\e[2Jb\": {{ run: ./web, \"\\u202ekey\": 1 }} }}\n");
    let faults = faults(text.as_bytes());
    assert_eq!(faults.len(), 2, "{faults:#?}");
    let shown = render_all(
        &faults,
        &[Source::new("mainstay.yaml", text.as_bytes())],
        Style::default(),
    );
    assert!(
        !shown.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'),
        "{shown}"
    );
}

#[test]
fn a_zero_byte_cannot_be_handed_to_a_process() {
    let text = format!(
        "{HEAD}services: {{ web: {{ run: [./web, \"a\\0b\"], env: {{ A: \"\\0\" }} }} }}\n"
    );
    assert_eq!(faults(text.as_bytes()).len(), 2);
}
