//! A transaction as the rest of the program sees it: something to hand to this crate's functions. Inside the crate it
//! runs prepared statements and turns rows into values.

use std::cell::RefCell;
use std::fmt;

use rusqlite::{Connection, OptionalExtension, Params, Row};
use starling_wire::frame;
use starling_wire::limits::FRAME_MAX;

use crate::error::StoreError;

/// An open transaction. What is done with it becomes durable as one, or not at all.
pub struct Tx<'a> {
    connection: &'a Connection,
    waiting: RefCell<Vec<End>>,
}

/// Hears whether what was written stands.
type End = Box<dyn FnOnce(bool) + Send>;

impl<'a> Tx<'a> {
    pub(crate) const fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            waiting: RefCell::new(Vec::new()),
        }
    }

    /// For what is kept in memory beside the tables. Called with `true` once all that was written so far is on disk, before whoever
    /// asked for it is told, or with `false` once it was undone; the last one first then. It must not block.
    pub fn at_end(&self, end: impl FnOnce(bool) + Send + 'static) {
        self.waiting.borrow_mut().push(Box::new(end));
    }

    /// How many wait by now: a mark for [`Tx::undone`].
    pub(crate) fn mark(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// What was written since the mark was taken back.
    pub(crate) fn undone(&self, mark: usize) {
        let undone = self.waiting.borrow_mut().split_off(mark);
        for end in undone.into_iter().rev() {
            end(false);
        }
    }

    /// All that was not taken back before is on disk, or nothing of it.
    pub(crate) fn ended(&self, stands: bool) {
        if !stands {
            return self.undone(0);
        }
        for end in self.waiting.take() {
            end(true);
        }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        // Two steps, because rusqlite's own error type cannot carry ours.
        statement
            .query_row(params, |row| Ok(read(row)))
            .optional()?
            .transpose()
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            values.push(read(row)?);
        }
        Ok(values)
    }

    /// A count.
    pub(crate) fn count(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        Ok(self.one(sql, params, |row| time(row, 0))?.unwrap_or(0))
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

/// Numbers of ours fit SQLite's signed 64 bits; one from outside that does not is kept as the largest that does.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The same for a number that may be absent.
pub(crate) fn opt_int(value: Option<u64>) -> Option<i64> {
    value.map(int)
}

/// A number written by [`int`].
pub(crate) fn time(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| StoreError::Damaged)
}

/// A number written by [`opt_int`].
pub(crate) fn opt_time(row: &Row<'_>, column: usize) -> Result<Option<u64>, StoreError> {
    match row.get::<_, Option<i64>>(column)? {
        Some(value) => Ok(Some(u64::try_from(value).map_err(|_| StoreError::Damaged)?)),
        None => Ok(None),
    }
}

/// A value of `wire` as bytes.
pub(crate) fn pack<T: serde::Serialize>(value: &T) -> Vec<u8> {
    frame::encode_body(value)
}

/// A value written by [`pack`].
pub(crate) fn unpack<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    frame::decode_body(bytes, FRAME_MAX).map_err(|_| StoreError::Damaged)
}
