//! What the operator is told. The tests insist on these words, and `docs/operations.md` quotes them.

pub const NEARLY_FULL: &str = "the gateway's storage is nearly full";
pub const NO_SPACE: &str = "No space left on device";
pub const FULL: &str = "the storage is full";
pub const MAKE_ROOM: &str = "Nothing is lost: make room on the card";
pub const BALLAST: &str = "the ballast was given up";
pub const FAILED: &str = "the storage failed";
pub const DAMAGED: &str = "the store is damaged";
pub const BACKUP: &str = "put a backup of the whole directory in its place";
pub const IMPORT: &str = "say `lockbridge import` with the newest export";
pub const CONF: &str = "sled's settings were torn";
pub const NEWER: &str = "install the newer version again";
pub const INSTANCE: &str = "another instance has the store open";
pub const KEY: &str = "the store key cannot be used";

#[test]
fn the_page_for_operators_quotes_what_the_program_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let page: Vec<&str> = page.split_whitespace().collect();
    let page = page.join(" ");
    for words in [
        NEARLY_FULL,
        NO_SPACE,
        FULL,
        MAKE_ROOM,
        BALLAST,
        FAILED,
        DAMAGED,
        BACKUP,
        IMPORT,
        CONF,
        NEWER,
        INSTANCE,
        KEY,
    ] {
        assert!(page.contains(words), "docs/operations.md does not say `{words}`");
    }
}
