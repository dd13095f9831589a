//! What every store does, and what each does alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::disk::File;
use super::*;
use crate::config::KvStore;

/// No test waits longer than this for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The promises of [`Store`].
pub(super) async fn check_store(store: &dyn Store) {
    values_come_and_go(store).await;
    numbers_add_up(store).await;
    a_swap_needs_what_it_expects(store).await;
    times_pass(store).await;
    many_at_once_lose_nothing(store).await;
    // Any bytes are a value, and any text is a key.
    let bytes: Vec<u8> = (0..=255).collect();
    let key = "h/\u{1F9A6} \"\r\n\0*{x}";
    store.set(key, bytes.clone(), None).await.unwrap();
    assert_eq!(store.get(key).await, Ok(Some(bytes)));
    let large = vec![7; VALUE_BYTES_MAX];
    let key = "k".repeat(KEY_BYTES_MAX);
    store.set(&key, large.clone(), None).await.unwrap();
    assert_eq!(store.get(&key).await, Ok(Some(large)));
}

async fn values_come_and_go(store: &dyn Store) {
    assert_eq!(store.get("a").await, Ok(None));
    store.set("a", b"1".into(), None).await.unwrap();
    store.set("b", b"".into(), None).await.unwrap();
    assert_eq!(store.get("a").await, Ok(Some(b"1".into())));
    assert_eq!(store.get("b").await, Ok(Some(b"".into())));
    assert_eq!(store.remove("a").await, Ok(true));
    assert_eq!(store.remove("a").await, Ok(false));
    store.set("a", b"1".into(), Some(0)).await.unwrap();
    assert_eq!(store.get("a").await, Ok(None));
    assert_eq!(store.remove("a").await, Ok(false));
}

async fn numbers_add_up(store: &dyn Store) {
    assert_eq!(store.increment("n", 2, None).await, Ok(2));
    assert_eq!(store.increment("n", -5, None).await, Ok(-3));
    assert_eq!(store.get("n").await, Ok(Some(b"-3".into())));
    // They stop at their bounds, and no digit is lost on the way.
    assert_eq!(store.increment("n", i64::MIN, None).await, Ok(i64::MIN));
    assert_eq!(
        store.increment("p", i64::MAX - 1, None).await,
        Ok(i64::MAX - 1)
    );
    assert_eq!(store.increment("p", 2, None).await, Ok(i64::MAX));
    store.set("n", b"x".into(), None).await.unwrap();
    let wrong = KvError::Unavailable("the value is no number".into());
    assert_eq!(store.increment("n", 1, None).await, Err(wrong));
    assert_eq!(store.get("n").await, Ok(Some(b"x".into())));
    // Its time counts from its beginning.
    assert_eq!(store.increment("t", 1, Some(0)).await, Ok(1));
    assert_eq!(store.increment("t", 1, Some(600_000)).await, Ok(1));
    assert_eq!(store.increment("t", 1, Some(0)).await, Ok(2));
    assert_eq!(store.increment("t", 1, None).await, Ok(3));
}

async fn a_swap_needs_what_it_expects(store: &dyn Store) {
    let swap = async |expected: Option<&str>, value: &str, ttl_ms| {
        let expected = expected.map(|text| text.as_bytes().to_vec());
        store.swap("s", expected, value.into(), ttl_ms).await
    };
    assert_eq!(swap(Some("1"), "2", None).await, Ok(false));
    assert_eq!(swap(Some(""), "2", None).await, Ok(false));
    assert_eq!(swap(None, "1", None).await, Ok(true));
    assert_eq!(swap(None, "2", None).await, Ok(false));
    assert_eq!(swap(Some("1"), "2", None).await, Ok(true));
    assert_eq!(store.get("s").await, Ok(Some(b"2".into())));
    assert_eq!(swap(Some("2"), "3", Some(0)).await, Ok(true));
    assert_eq!(swap(None, "4", Some(u64::MAX)).await, Ok(true));
    assert_eq!(store.get("s").await, Ok(Some(b"4".into())));
}

async fn times_pass(store: &dyn Store) {
    store.set("short", b"1".into(), Some(30)).await.unwrap();
    store.set("long", b"1".into(), Some(600_000)).await.unwrap();
    store
        .set("ever", b"1".into(), Some(u64::MAX))
        .await
        .unwrap();
    store.set("kept", b"1".into(), Some(30)).await.unwrap();
    store.set("kept", b"2".into(), None).await.unwrap();
    let gone = async { while store.get("short").await != Ok(None) {} };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("it expires");
    for key in ["long", "ever", "kept"] {
        assert!(matches!(store.get(key).await, Ok(Some(_))), "{key}");
    }
}

async fn many_at_once_lose_nothing(store: &dyn Store) {
    let adding = (0..50).map(|_| async {
        for _ in 0..20 {
            store.increment("many", 1, None).await.unwrap();
        }
    });
    join_all(adding).await;
    assert_eq!(store.increment("many", 0, None).await, Ok(1_000));
    let swapping = (0..20u8).map(|at| store.swap("one", None, vec![at], None));
    let swapped = join_all(swapping).await;
    assert_eq!(swapped.iter().filter(|it| **it == Ok(true)).count(), 1);
}

/// A store of this size keeps to it, and makes room from what has expired.
async fn check_size(store: &dyn Store) {
    store.set("a", vec![0; 400], Some(0)).await.unwrap();
    store.set("b", vec![0; 400], None).await.unwrap();
    let is_full = |answer| matches!(answer, Err(KvError::TooLarge(_)));
    assert!(is_full(store.set("c", vec![0; 400], None).await));
    let swapped = store.swap("c", None, vec![0; 400], None).await;
    assert!(is_full(swapped.map(drop)));
    let fits = store.set("b", vec![0; 600], None).await;
    fits.expect("it takes the old one's place");
    assert_eq!(store.remove("b").await, Ok(true));
    store.set("c", vec![0; 800], None).await.unwrap();
}

// === memory ===

#[tokio::test]
async fn memory() {
    check_store(&Memory::new(4 << 20)).await;
    check_size(&Memory::new(1_000)).await;
}

// === disk ===

fn disk(path: &Path, bytes_max: usize) -> Disk {
    Disk::new(Arc::new(File::open(path).unwrap()), bytes_max)
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_keeps_what_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.redb");
    let store = disk(&path, 4 << 20);
    check_store(&store).await;
    let twice = File::open(&path).err().unwrap_or_default();
    assert!(twice.contains("it is open already"), "{twice}");
    drop(store);

    let store = disk(&path, 4 << 20);
    assert_eq!(store.get("many").await, Ok(Some(b"1000".into())));
    assert_eq!(store.get("long").await, Ok(Some(b"1".into())));
    assert_eq!(store.get("short").await, Ok(None));
    assert_eq!(store.increment("t", 1, None).await, Ok(4));
    // What the entries take up was kept, too.
    let small = Disk::new(store.file.clone(), VALUE_BYTES_MAX);
    let full = small.set("more", b"1".into(), None).await;
    assert!(matches!(full, Err(KvError::TooLarge(_))), "{full:?}");

    check_size(&disk(&folder.path().join("small.redb"), 1_000)).await;
}

#[tokio::test]
async fn what_is_no_store_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "my only copy").unwrap();
    let settings = KvStore::Disk {
        path: path.clone(),
        bytes_max: 1,
    };
    for stores in [Stores::default(), Stores::rehearsal()] {
        let place = KvStore::Disk {
            path: folder.path().join("gone/kv.redb"),
            bytes_max: 1,
        };
        assert!(stores.open(&place).is_err());
    }
    let why = Stores::default().open(&settings).err().unwrap_or_default();
    assert!(why.contains("notes.txt"), "{why}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my only copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_is_opened_again_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder.path().join("kv.redb"), 1 << 20);
    assert_eq!(store.increment("n", 1, None).await, Ok(1));
    store.file.state.close();
    let failed = store.increment("n", 1, None).await;
    assert!(matches!(failed, Err(KvError::Unavailable(_))), "{failed:?}");
    assert_eq!(store.increment("n", 1, None).await, Ok(2));
    assert_eq!(store.get("n").await, Ok(Some(b"2".into())));
}

/// What has expired leaves the file, however much of it there is.
#[tokio::test(flavor = "multi_thread")]
async fn disk_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder.path().join("kv.redb"), 1 << 20);
    let names: Vec<_> = (0..1_000).map(|at| format!("gone {at}")).collect();
    let setting = names
        .iter()
        .map(|name| store.set(name, vec![0; 100], Some(0)));
    assert!(join_all(setting).await.iter().all(Result::is_ok));
    store
        .set("stays", vec![0; 100], Some(600_000))
        .await
        .unwrap();
    let left = size("stays", 100) as u64;
    let swept = async {
        while store.file.state.bytes() != left {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, swept)
        .await
        .expect("it is swept");
}

// === stores ===

#[tokio::test]
async fn the_same_settings_are_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = |bytes_max| KvStore::Disk {
        path: folder.path().join("kv.redb"),
        bytes_max,
    };
    let stores = Stores::default();
    let memory = stores.open(&KvStore::default()).unwrap();
    let disk = stores.open(&on_disk(1_000)).unwrap();
    memory.set("a", b"1".into(), None).await.unwrap();
    disk.set("a", b"2".into(), None).await.unwrap();

    let again = stores.open(&KvStore::default()).unwrap();
    assert_eq!(again.get("a").await, Ok(Some(b"1".into())));
    // The same file under another limit, while the first is in use.
    let larger = stores.open(&on_disk(2_000)).unwrap();
    assert_eq!(larger.get("a").await, Ok(Some(b"2".into())));
    larger.set("b", vec![0; 1_000], None).await.unwrap();
    assert!(disk.set("c", b"1".into(), None).await.is_err());

    drop((disk, larger));
    let reopened = stores.open(&on_disk(3_000)).unwrap();
    assert_eq!(reopened.get("a").await, Ok(Some(b"2".into())));
}
