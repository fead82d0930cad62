//! Any bytes, cut anywhere, have one verdict; the first byte says where they are cut.
#![no_main]

use mainstay_routing::{Scanner, Then};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let cut = usize::from(*cut).min(bytes.len());
    assert_eq!(verdict(&[bytes.len()], bytes), verdict(&[cut, bytes.len()], bytes));
});

fn verdict(ends: &[usize], bytes: &[u8]) -> Then {
    let (mut scanner, mut passed, mut then) = (Scanner::new(), 0, Then::More);
    for end in ends {
        if then == Then::More {
            let scan = scanner.scan(&bytes[passed..*end]);
            passed += scan.pass;
            then = scan.then;
        }
    }
    then
}
