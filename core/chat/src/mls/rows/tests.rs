//! Rows that are written, copied, taken back and read again.

use super::*;

fn place(branch: Branch, group: u8) -> Place {
    Place {
        branch,
        group: GroupId([group; 32]),
    }
}

fn key(group: u8) -> Vec<u8> {
    group_key(place(Branch::MAIN, group), Kind::Tree, &[])
}

fn value(byte: u8) -> Option<Value> {
    Some(vec![byte].into())
}

fn stored(rows: &Rows) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = rows.starting_with(&[]);
    all.map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

#[test]
fn only_what_changed_is_written_and_once() {
    let mut rows = Rows::new();
    assert_eq!(rows.take_changes().put.len(), 1, "the format");
    rows.set(key(1), value(1));
    rows.set(key(1), value(2));
    rows.set(key(2), value(3));
    rows.set(key(2), None);
    rows.set(key(3), None);
    let changes = rows.take_changes();
    assert_eq!(changes.put, [(key(1), vec![2].into())]);
    assert_eq!(changes.delete, [key(2)]);
    rows.set(key(1), value(2));
    assert!(rows.take_changes().is_empty());
}

#[test]
fn what_fails_leaves_no_trace() {
    let mut rows = Rows::new();
    rows.set(key(1), value(1));
    let before = stored(&rows);
    rows.begin();
    rows.set(key(1), value(9));
    rows.set(key(2), value(9));
    rows.set(key(1), None);
    rows.end(false);
    assert_eq!(stored(&rows), before);
    assert_eq!(rows.take_changes().put.len(), 2, "the format and the row");
    rows.begin();
    rows.set(key(1), None);
    rows.end(true);
    assert_eq!(rows.take_changes().delete, [key(1)]);
}

#[test]
fn a_copy_is_of_one_group_and_replaces_what_was_there() {
    let mut rows = Rows::new();
    let branch = Branch::at(EpochTag([7; 16]));
    rows.set(key(1), value(1));
    rows.set(key(2), value(2));
    let stale = group_key(place(branch, 1), Kind::State, &[]);
    rows.set(stale.clone(), value(3));
    rows.copy(place(Branch::MAIN, 1), place(branch, 1));
    assert!(rows.get(&stale).is_none());
    let copied = group_key(place(branch, 1), Kind::Tree, &[]);
    assert_eq!(rows.get(&copied), value(1).as_ref());
    assert_eq!(
        rows.places(),
        [
            place(Branch::MAIN, 1),
            place(Branch::MAIN, 2),
            place(branch, 1)
        ]
    );
}

#[test]
fn mls_04_rows_of_another_format_are_not_read() {
    let mut rows = Rows::new();
    rows.set(key(1), value(1));
    let good = stored(&rows);
    assert_eq!(stored(&Rows::load(good.clone()).unwrap()), good);
    let mut newer = good.clone();
    newer[0].1 = vec![0, 2];
    assert_eq!(
        Rows::load(newer).err(),
        Some(LoadError::Format { found: 2 })
    );
    let mut torn = good;
    torn.remove(0);
    assert_eq!(Rows::load(torn).err(), Some(LoadError::Damaged));
}

#[test]
fn what_is_shown_of_changes_holds_no_secret() {
    let mut rows = Rows::new();
    rows.set(key(1), Some(vec![0x41; 4].into()));
    let shown = format!("{:?}", rows.take_changes());
    assert_eq!(shown, "Changes(2 rows, 6 bytes; 0 gone)");
}
