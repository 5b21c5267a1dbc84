//! Run files, of which few are open at a time, however many there are.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::queue::lock;
use crate::storage::{OpenMode, Storage, StorageFile};

/// The files that are open. To open one more than may be, another is closed: the one that was opened first and not read again since it was last passed over.
pub(super) struct OpenFiles {
    storage: Arc<dyn Storage>,
    most: usize,
    open: Mutex<VecDeque<Weak<RunFile>>>,
}

/// A file that is opened when it is read.
pub(super) struct RunFile {
    files: Arc<OpenFiles>,
    path: PathBuf,
    handle: Mutex<Handle>,
    was_read: AtomicBool,
}

#[derive(Default)]
struct Handle {
    file: Option<Arc<dyn StorageFile>>,
    /// Its name may be gone: closed, it could not be opened again.
    stays: bool,
}

impl OpenFiles {
    pub(super) fn new(storage: Arc<dyn Storage>, most: usize) -> Self {
        Self { storage, most, open: Mutex::default() }
    }

    /// The file of this path, which need not be there before it is read.
    pub(super) fn file(self: &Arc<Self>, path: PathBuf) -> Arc<RunFile> {
        let (handle, was_read) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(RunFile { files: Arc::clone(self), path, handle, was_read })
    }

    /// The file of this path, which is open.
    pub(super) fn opened(self: &Arc<Self>, path: PathBuf, handle: Arc<dyn StorageFile>) -> Arc<RunFile> {
        let file = self.file(path);
        lock(&file.handle).file = Some(handle);
        self.add(&file);
        file
    }

    /// Counts a file that was opened, and closes others where there are too many.
    fn add(&self, file: &Arc<RunFile>) {
        let mut open = lock(&self.open);
        open.push_back(Arc::downgrade(file));
        if open.len() > self.most {
            // Those that nobody knows any more are closed.
            open.retain(|file| file.strong_count() > 0);
        }
        // Each is passed over once at most: those that others read meanwhile do not keep this going.
        let mut passed_over = 0;
        while open.len() > self.most
            && let Some(first) = open.pop_front()
        {
            match first.upgrade() {
                Some(read) if read.was_read.swap(false, Ordering::Relaxed) && passed_over < self.most => {
                    passed_over += 1;
                    open.push_back(first);
                }
                Some(idle) => idle.close(),
                None => {}
            }
        }
    }

    /// Closes all that may be closed.
    fn close_all(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        open.iter().filter_map(Weak::upgrade).for_each(|file| file.close());
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let open = lock(&self.open);
        open.iter().filter_map(Weak::upgrade).filter(|file| lock(&file.handle).file.is_some()).count()
    }
}

impl RunFile {
    /// The file, open for as long as whoever asked has it.
    ///
    /// # Errors
    /// Those of opening it. Where the process may have no more files open, others of these are closed first.
    pub(super) fn open(self: &Arc<Self>) -> io::Result<Arc<dyn StorageFile>> {
        self.was_read.store(true, Ordering::Relaxed);
        let opened = self.open_handle(&mut lock(&self.handle));
        let (file, is_new) = match opened {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.files.close_all();
                self.open_handle(&mut lock(&self.handle))?
            }
            opened => opened?,
        };
        if is_new {
            self.files.add(self);
        }
        Ok(file)
    }

    /// Keeps the file open from now on: its name is about to go, and somebody may still read it.
    ///
    /// # Errors
    /// Those of opening it.
    pub(super) fn outlive_name(&self) -> io::Result<()> {
        let mut handle = lock(&self.handle);
        self.open_handle(&mut handle)?;
        handle.stays = true;
        Ok(())
    }

    fn open_handle(&self, handle: &mut Handle) -> io::Result<(Arc<dyn StorageFile>, bool)> {
        if let Some(file) = &handle.file {
            return Ok((Arc::clone(file), false));
        }
        let file = self.files.storage.open(&self.path, OpenMode::Read)?;
        handle.file = Some(Arc::clone(&file));
        Ok((file, true))
    }

    fn close(&self) {
        let mut handle = lock(&self.handle);
        if !handle.stays {
            handle.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;

    fn read(file: &Arc<RunFile>) -> io::Result<u8> {
        let mut byte = [0];
        file.open()?.read_exact_at(&mut byte, 0)?;
        Ok(byte[0])
    }

    fn files(dir: &std::path::Path, count: u8, most: usize) -> (Arc<OpenFiles>, Vec<Arc<RunFile>>) {
        let open = Arc::new(OpenFiles::new(Arc::new(Disk), most));
        let made = (0..count).map(|number| {
            let path = dir.join(number.to_string());
            std::fs::write(&path, [number]).unwrap();
            open.file(path)
        });
        let made = made.collect();
        (open, made)
    }

    #[test]
    fn few_are_open_however_many_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (open, files) = files(dir.path(), 10, 3);
        assert_eq!(open.count(), 0);
        for round in 0..5 {
            for (number, file) in (0..).zip(&files) {
                assert_eq!(read(file).unwrap(), number, "round {round}");
                assert!((1..=3).contains(&open.count()));
            }
        }
        drop(files);
        assert_eq!(open.count(), 0);
    }

    #[test]
    fn what_is_read_again_and_again_stays_open() {
        let dir = tempfile::tempdir().unwrap();
        let (_open, files) = files(dir.path(), 20, 4);
        read(&files[0]).unwrap();
        std::fs::remove_file(dir.path().join("0")).unwrap();
        for file in &files[1..] {
            read(file).unwrap();
            assert_eq!(read(&files[0]).unwrap(), 0, "it cannot have been closed: its name is gone");
        }
    }

    #[test]
    fn one_whose_name_goes_is_read_still() {
        let dir = tempfile::tempdir().unwrap();
        let (open, files) = files(dir.path(), 10, 2);
        files[0].outlive_name().unwrap();
        read(&files[1]).unwrap();
        for number in 0..2 {
            std::fs::remove_file(dir.path().join(number.to_string())).unwrap();
        }
        for file in &files[2..] {
            read(file).unwrap();
        }
        assert_eq!(open.count(), 2);
        assert_eq!(read(&files[0]).unwrap(), 0);
        assert_eq!(read(&files[1]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn threads_that_read_all_of_them_at_once_read_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (open, files) = files(dir.path(), 12, 2);
        std::thread::scope(|scope| {
            for first in 0..4 {
                let files = &files;
                scope.spawn(move || {
                    for place in (first..12).cycle().take(2_000) {
                        assert_eq!(usize::from(read(&files[place]).unwrap()), place);
                    }
                });
            }
        });
        assert!(open.count() <= 2);
    }
}
