//! Redis 7 as it is: closed to everybody but its users, set while it runs, and what is kept is kept.

mod support;

use mainstay_atoms::Bytes;
use mainstay_spec::Waiting;
use mainstay_store_io::Readiness;
use redis::{Client, Connection, RedisResult};
use std::fs;
use support::{Place, files_with, redis_7, until};

fn connect(place: &Place, user: &str, password: &str) -> RedisResult<Connection> {
    let address = place.address();
    Client::open(format!("redis://{user}:{password}@{address}/0"))?.get_connection()
}

fn user(place: &Place, name: &str) -> Connection {
    connect(place, name, &place.password(name)).unwrap()
}

fn ask(connection: &mut Connection, words: &str) -> Result<String, String> {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    let answer: RedisResult<redis::Value> = command.query(connection);
    answer
        .map(|value| format!("{value:?}"))
        .map_err(|fault| fault.to_string())
}

#[test]
fn users_have_their_own_and_nobody_else_comes_in() {
    let mut place = Place::new(redis_7(), &[("web", true), ("worker", false)]);
    place.serve();
    place.provision().unwrap();
    let mut web = user(&place, "web");
    ask(&mut web, "SET a 1").unwrap();
    ask(&mut web, "LPUSH list 1").unwrap();
    ask(&mut web, "EVAL return(1) 0").unwrap();
    assert!(
        ask(&mut user(&place, "worker"), "GET a")
            .unwrap()
            .contains('1')
    );
    for words in [
        "CONFIG GET *",
        "ACL LIST",
        "SHUTDOWN NOSAVE",
        "SLOWLOG GET",
        "REPLICAOF 127.0.0.1 1",
        "MONITOR",
        "MODULE LIST",
    ] {
        let fault = ask(&mut web, words).expect_err(words);
        assert!(
            fault.to_lowercase().contains("permission"),
            "{words}: {fault}"
        );
    }
    let other = place.password("worker");
    assert!(connect(&place, "web", &other).is_err());
    assert!(connect(&place, "default", "x").is_err());
    let mut nobody = Client::open(format!("redis://{}/0", place.address()))
        .unwrap()
        .get_connection()
        .map_err(|fault| fault.to_string());
    let refused = match &mut nobody {
        Ok(connection) => ask(connection, "GET a").unwrap_err(),
        Err(fault) => fault.clone(),
    };
    assert!(refused.to_lowercase().contains("auth"), "{refused}");
}

#[test]
fn a_user_that_left_is_shut_out_while_the_server_runs() {
    let mut place = Place::new(redis_7(), &[("web", true), ("worker", true)]);
    place.serve();
    let pid = place.pid();
    let mut worker = user(&place, "worker");
    place.users(&[("web", true)]);
    place.prepare().unwrap();
    place.provision().unwrap();
    assert!(ask(&mut worker, "GET a").is_err(), "at once");
    assert!(connect(&place, "worker", &place.password("worker")).is_err());
    assert!(connect(&place, "web", &place.password("web")).is_ok());
    assert_eq!(place.pid(), pid);
}

#[test]
fn a_user_may_be_called_default() {
    let mut place = Place::new(redis_7(), &[("default", true)]);
    place.serve();
    assert!(ask(&mut user(&place, "default"), "SET a 1").is_ok());
    let anonymous = Client::open(format!("redis://{}/0", place.address())).unwrap();
    let answer = anonymous
        .get_connection()
        .map_err(|fault| fault.to_string())
        .and_then(|mut connection| ask(&mut connection, "GET a"));
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn settings_change_while_it_runs_and_stay() {
    let mut place = Place::new(redis_7(), &[("web", true)]);
    place.serve();
    let mut web = user(&place, "web");
    ask(&mut web, "SET a 1").unwrap();
    let redis = place.redis();
    (redis.memory, redis.evict) = (Bytes(48 << 20), "allkeys-lru".into());
    place.prepare().unwrap();
    place.provision().unwrap();
    let settings = |place: &Place| {
        let mut admin = user(place, "mainstay_admin");
        ["maxmemory", "maxmemory-policy"]
            .map(|name| ask(&mut admin, &format!("CONFIG GET {name}")).unwrap())
            .concat()
    };
    let live = settings(&place);
    assert!(
        live.contains("50331648") && live.contains("allkeys-lru"),
        "{live}"
    );
    let answer = ask(&mut web, "GET a").expect("nobody is cut off");
    assert!(answer.contains('1'));
    place.stop();
    place.start();
    place.ready();
    assert_eq!(settings(&place), live);
}

#[test]
fn what_is_to_be_kept_outlives_a_kill_and_what_is_not_is_forgotten() {
    let mut place = Place::new(redis_7(), &[("web", true)]);
    place.serve();
    ask(&mut user(&place, "web"), "SET a kept").unwrap();
    // Synced every second by the server itself: what was written is in the kernel's hands.
    place.kill();
    place.prepare().unwrap();
    place.start();
    place.ready();
    let mut web = user(&place, "web");
    assert!(ask(&mut web, "GET a").unwrap().contains("kept"));

    place.redis().persist = false;
    place.prepare().unwrap();
    place.provision().unwrap();
    ask(&mut web, "SET b gone").unwrap();
    place.stop();
    place.start();
    place.ready();
    let mut web = user(&place, "web");
    assert_eq!(
        ask(&mut web, "DBSIZE").unwrap(),
        "int(0)",
        "nothing old either"
    );

    place.redis().persist = true;
    place.prepare().unwrap();
    place.provision().unwrap();
    ask(&mut web, "SET c kept").unwrap();
    until("the first append-only file", || {
        let info: String = redis::cmd("INFO")
            .query(&mut user(&place, "mainstay_admin"))
            .unwrap();
        let done =
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0");
        done.then_some(())
    });
    place.stop();
    place.start();
    place.ready();
    let mut web = user(&place, "web");
    assert!(ask(&mut web, "GET c").unwrap().contains("kept"));
    assert_eq!(ask(&mut web, "DBSIZE").unwrap(), "int(1)");
}

#[test]
fn a_replica_takes_no_writes_and_is_not_ready() {
    let mut place = Place::new(redis_7(), &[("web", true)]);
    place.serve();
    let mut admin = user(&place, "mainstay_admin");
    ask(&mut admin, "REPLICAOF 127.0.0.1 1").unwrap();
    place.stop();
    let path = place.root().join("redis.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "replicaof 127.0.0.1 1\n").unwrap();
    place.start();
    until("a word about the replica", || match place.readiness() {
        Readiness::Silent { why } if why.contains("replica") => Some(()),
        Readiness::Ready => panic!("it takes no writes"),
        _ => None,
    });
}

#[test]
fn passwords_stand_in_files_hashed_and_in_no_argument() {
    let mut place = Place::new(redis_7(), &[("web", true)]);
    place.serve();
    for name in ["web", "mainstay_admin"] {
        let password = place.password(name);
        let found = files_with(place.folder.path(), &password);
        let own = place.folder.path().join(format!("secrets/db.{name}"));
        assert_eq!(found, [own]);
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let text = fs::read(process.path().join("cmdline")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(&password));
        }
    }
}

#[test]
fn what_waits_is_counted_by_the_kind_of_its_key() {
    let mut place = Place::new(redis_7(), &[("web", true)]);
    place.serve();
    place.provision().unwrap();
    let mut web = user(&place, "web");
    for words in [
        "RPUSH list a b c",
        "XADD stream * item tea",
        "SADD set a b",
        "ZADD later 1 a 2 b 3 c 4 d",
        "HSET hash a 1",
    ] {
        ask(&mut web, words).unwrap();
    }
    let waits = |key: &str| place.waiting("web", &Waiting::Key(key.into()));
    let rows = [("list", 3), ("stream", 1), ("set", 2), ("later", 4)];
    for (key, count) in rows {
        assert_eq!(waits(key), Ok(count), "{key}");
    }
    assert_eq!(waits("nobody made this"), Ok(0));
    let why = waits("hash").unwrap_err();
    assert!(why.contains("is a hash"), "{why}");
    place.kill();
    let waits = place.waiting("web", &Waiting::Key("list".into()));
    assert!(waits.is_err(), "nobody counts: {waits:?}");
}
