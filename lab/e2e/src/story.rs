//! The walk: the commands of a first visit, in their order. README shows them; the tests run them.

/// What is typed, as a reader sees it, without its comment.
pub const WALK: [&str; 12] = [
    "cargo run --release -- up -f examples/quickstart",
    "curl http://localhost:8080/",
    "curl http://localhost:8080/visits",
    "cd examples/quickstart; alias mainstay=../../target/release/mainstay",
    "mainstay status",
    "sed -i 's/GREETING: hello/GREETING: good morning/' mainstay.yaml",
    "mainstay plan; echo $?",
    "mainstay deploy",
    "mainstay history",
    "mainstay rollback",
    "mainstay why web; mainstay logs web -n 20; mainstay ledger verify; mainstay explain services.web.replicas",
    "mainstay down",
];

/// The words after `mainstay` of the command of the walk that begins with `word`.
///
/// # Panics
/// When the walk has no such command.
pub fn words(word: &str) -> Vec<&'static str> {
    let commands = WALK.iter().flat_map(|line| line.split(';'));
    let mut ours = commands.filter_map(|command| command.trim().strip_prefix("mainstay "));
    let found = ours.find(|words| words.starts_with(word));
    let Some(words) = found else {
        panic!("the walk has no `mainstay {word}`");
    };
    words.split(' ').collect()
}
