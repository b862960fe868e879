//! Received files: an unfinished file is made exclusively beside its later place, and moved there without replacing
//! anything once it is complete. No symbolic link is followed, nothing becomes executable, and every step is relative
//! to the opened folder, so swapping the folder's path in between changes nothing.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, fchmod, fstat, fstatvfs, fsync, linkat,
    mkdirat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use starling_wire::file::{numbered_name, safe_file_name};
use starling_wire::ids::TransferId;

use crate::error::StoreError;

/// Names tried before giving up ("photo.jpg", "photo (2).jpg", ...).
const NAMES_MAX: u32 = 1_000;

/// A folder that receives files.
#[derive(Debug)]
pub struct Downloads {
    path: PathBuf,
    folder: OwnedFd,
}

impl Downloads {
    /// Opens the folder, making it (mode 0700) if only its last part does not exist.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let refused = |error: Errno| failed("cannot use the folder", path, error);
        match mkdirat(CWD, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(refused(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty()).map_err(refused)?;
        Ok(Self {
            path: path.to_owned(),
            folder,
        })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a transfer's unfinished file lies.
    pub fn part_path(&self, id: TransferId) -> PathBuf {
        self.path.join(part_name(id))
    }

    /// Makes the unfinished file of a transfer: new, empty, mode 0600. Whatever lies there already is an error.
    pub fn begin(&self, id: TransferId) -> Result<File, StoreError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.folder, part_name(id), flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(File::from(file)),
            Err(Errno::EXIST) => Err(StoreError::Exists("an unfinished file of this transfer")),
            Err(error) => Err(failed("cannot make a file in", &self.path, error)),
        }
    }

    /// Opens the unfinished file again; `None` when it is gone. Something else in its place is refused.
    pub fn resume(&self, id: TransferId) -> Result<Option<File>, StoreError> {
        let Some(file) = self.open_file(&part_name(id), OFlags::RDWR)? else {
            return Ok(None);
        };
        match self.is_ours(&file)? {
            true => Ok(Some(file)),
            false => Err(StoreError::Foreign(
                self.part_path(id).display().to_string(),
            )),
        }
    }

    /// Opens what may be a finished file under `name`, the name on disk for good; `None` when it is gone or something else
    /// lies there.
    pub fn finished(&self, name: &str) -> Result<Option<File>, StoreError> {
        let Some(file) = self.open_file(name, OFlags::RDONLY)? else {
            return Ok(None);
        };
        if !self.is_ours(&file)? {
            return Ok(None);
        }
        fsync(&self.folder).map_err(|error| failed("cannot write", &self.path, error))?;
        Ok(Some(file))
    }

    fn open_file(&self, name: &str, access: OFlags) -> Result<Option<File>, StoreError> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed("cannot open a file in", &self.path, error)),
        }
    }

    /// A regular file of ours with one name.
    fn is_ours(&self, file: &File) -> Result<bool, StoreError> {
        let stat = fstat(file).map_err(|error| failed("cannot read", &self.path, error))?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let own = stat.st_uid == rustix::process::geteuid().as_raw();
        Ok(regular && own && stat.st_nlink == 1)
    }

    /// Gives a complete file its name, made safe (`FILE-03`) and numbered until it is free (`FILE-04`). The file is on
    /// disk before it is moved, readable (0644) and never executable. `note` hears where it is about to lie before it does
    /// (`FILE-11`), and may stop it. Returns where it lies.
    pub fn finish<E: From<StoreError>>(
        &self,
        id: TransferId,
        name: &str,
        mut note: impl FnMut(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let cannot = |error| failed("cannot finish a file in", &self.path, error);
        let file = self
            .resume(id)?
            .ok_or(StoreError::Missing("unfinished file"))?;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        fchmod(&file, mode)
            .and_then(|()| fsync(&file))
            .map_err(cannot)?;
        let safe = safe_file_name(name);
        for number in 1..=NAMES_MAX {
            let name = numbered_name(&safe, number);
            if statat(&self.folder, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                continue;
            }
            let path = self.path.join(&name);
            note(&path)?;
            match self.publish(&part_name(id), &name) {
                Ok(()) => {
                    fsync(&self.folder).map_err(cannot)?;
                    return Ok(path);
                }
                // Taken in between.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(cannot(error).into()),
            }
        }
        let taken = "a file of that name, and of every name like it,";
        Err(StoreError::Exists(taken).into())
    }

    /// Refuses what cannot fit: `size` bytes, of which `have` are here already. Others may fill the disk later, so writing
    /// can still fail.
    pub fn check_room(&self, size: u64, have: u64) -> Result<(), StoreError> {
        let stat = fstatvfs(&self.folder)
            .map_err(|error| failed("cannot ask for the free space of", &self.path, error))?;
        let (need, free) = (
            size.saturating_sub(have),
            stat.f_bavail.saturating_mul(stat.f_frsize),
        );
        if need <= free {
            return Ok(());
        }
        Err(StoreError::NoRoom {
            folder: self.path.display().to_string(),
            need,
            free,
        })
    }

    /// Removes the unfinished file, if there is one.
    pub fn discard(&self, id: TransferId) -> Result<(), StoreError> {
        match unlinkat(&self.folder, part_name(id), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(
                "cannot remove the unfinished file in",
                &self.path,
                error,
            )),
        }
    }

    /// Moves without replacing; where the file system cannot do that in one step, by a second name.
    fn publish(&self, part: &str, name: &str) -> Result<(), Errno> {
        let folder = &self.folder;
        match renameat_with(folder, part, folder, name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                linkat(folder, part, folder, name, AtFlags::empty())?;
                unlinkat(folder, part, AtFlags::empty())
            }
            outcome => outcome,
        }
    }
}

fn part_name(id: TransferId) -> String {
    format!(".starling-{id}.part")
}

fn failed(what: &str, path: &Path, error: Errno) -> StoreError {
    StoreError::io(
        format!("{what} {}", path.display()),
        &io::Error::from(error),
    )
}
