//! All directories and files, and what an operation does to them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::directory::{DirectoryState, NameChange, Names};
use super::file::FileState;
use super::operation::Operation;
use super::survival::Loss;
use crate::entropy::SplitMix64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(u64);

const ROOT: NodeId = NodeId(0);

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Arc<FileState>),
    Directory(Arc<DirectoryState>),
}

/// Which of a file's contents are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// What a process sees.
    Live,
    /// What is found after a stop with [`Loss::Everything`].
    Durable,
}

/// A clone shares everything; a change copies the file or directory that it changes, down to blocks. Files without a name stay, as somebody may
/// have them open.
#[derive(Debug, Clone)]
pub(super) struct World {
    nodes: BTreeMap<NodeId, Node>,
}

impl World {
    /// An empty root directory.
    pub(super) fn new() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::Directory(Arc::default()))]) }
    }

    pub(super) fn unused_node(&self) -> NodeId {
        NodeId(self.nodes.last_key_value().map_or(0, |(last, _)| last.0 + 1))
    }

    pub(super) fn file(&self, id: NodeId) -> io::Result<&FileState> {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn directory(&self, id: NodeId) -> io::Result<&DirectoryState> {
        match self.nodes.get(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What the names lead to.
    pub(super) fn find(&self, names: &[Arc<str>]) -> io::Result<NodeId> {
        names.iter().try_fold(ROOT, |dir, name| {
            self.directory(dir)?.live.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    /// The directory in which the last name is or would be, and that name.
    pub(super) fn find_parent<'a>(&self, names: &'a [Arc<str>]) -> io::Result<(NodeId, &'a Arc<str>)> {
        let (name, dirs) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.find(dirs)?;
        self.directory(dir)?;
        Ok((dir, name))
    }

    pub(super) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::CreateFile { dir, name, node } => self.add(*dir, name, *node, Node::File(Arc::default())),
            Operation::CreateDir { dir, name, node } => self.add(*dir, name, *node, Node::Directory(Arc::default())),
            Operation::Change { file, change } => self.file_mut(*file).change(change.clone()),
            Operation::Sync { file } => self.file_mut(*file).sync(),
            Operation::FailedSync { file, reached } => self.file_mut(*file).sync_failed(*reached),
            Operation::Rename { dir, from, to, node } => {
                let change = NameChange::Rename { from: Arc::clone(from), to: Arc::clone(to), node: *node };
                self.directory_mut(*dir).change(change);
            }
            Operation::Remove { dir, name } => {
                self.directory_mut(*dir).change(NameChange::Remove { name: Arc::clone(name) });
            }
            Operation::SyncDir { dir } => self.directory_mut(*dir).sync(),
            Operation::Nothing => {}
        }
    }

    fn add(&mut self, dir: NodeId, name: &Arc<str>, id: NodeId, node: Node) {
        self.nodes.insert(id, node);
        self.directory_mut(dir).change(NameChange::Add { name: Arc::clone(name), node: id });
    }

    fn file_mut(&mut self, id: NodeId) -> &mut FileState {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Arc::make_mut(file),
            _ => unreachable!("invariant: an operation is noted once its file was found"),
        }
    }

    fn directory_mut(&mut self, id: NodeId) -> &mut DirectoryState {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory(directory)) => Arc::make_mut(directory),
            _ => unreachable!("invariant: an operation is noted once its directory was found"),
        }
    }

    /// What is found after the machine stopped, or the process.
    pub(super) fn after(&self, loss: Loss, row: &mut SplitMix64) -> Self {
        if loss == Loss::Nothing {
            return self.clone();
        }
        let mut found = Self { nodes: BTreeMap::new() };
        let mut ahead = vec![ROOT];
        while let Some(id) = ahead.pop() {
            let node = match self.nodes.get(&id) {
                Some(Node::File(file)) => Node::File(Arc::new(file.after(loss, row))),
                Some(Node::Directory(directory)) => {
                    let names = directory.after(loss, row);
                    ahead.extend(names.values());
                    Node::Directory(Arc::new(DirectoryState::settled(names)))
                }
                None => unreachable!("invariant: files are not forgotten"),
            };
            found.nodes.insert(id, node);
        }
        found
    }

    /// All files that have a name, with their paths, in the order of the paths.
    pub(super) fn files(&self, image: Image) -> BTreeMap<String, &FileState> {
        let mut files = BTreeMap::new();
        self.walk(image, |path, node| {
            if let Node::File(file) = node {
                files.insert(path.to_owned(), file.as_ref());
            }
        });
        files
    }

    /// All directories but the root.
    pub(super) fn directories(&self) -> Vec<String> {
        let mut directories = Vec::new();
        self.walk(Image::Live, |path, node| {
            if matches!(node, Node::Directory(_)) {
                directories.push(path.to_owned());
            }
        });
        directories
    }

    /// Directories come before what is in them.
    fn walk<'a>(&'a self, image: Image, mut visit: impl FnMut(&str, &'a Node)) {
        let mut ahead = vec![(String::new(), ROOT)];
        while let Some((path, id)) = ahead.pop() {
            let Ok(directory) = self.directory(id) else { continue };
            let names: &Names = match image {
                Image::Live => &directory.live,
                Image::Durable => &directory.durable,
            };
            for (name, id) in names {
                let path = format!("{path}/{name}");
                if let Some(node) = self.nodes.get(id) {
                    visit(&path, node);
                    if matches!(node, Node::Directory(_)) {
                        ahead.push((path, *id));
                    }
                }
            }
        }
    }

    /// The room that files with a name take.
    pub(super) fn allocated(&self) -> u64 {
        self.files(Image::Live).values().map(|file| file.live.allocated()).sum()
    }
}

/// The names of a path, from the root on; `a/b` and `/a/b` are the same.
pub(super) fn names_of(path: &Path) -> io::Result<Vec<Arc<str>>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            Component::ParentDir => {
                names.pop();
            }
            Component::Normal(name) => names.push(name.to_str().ok_or(io::ErrorKind::InvalidFilename)?.into()),
        }
    }
    Ok(names)
}

/// The names as one path.
pub(super) fn path_of(names: &[Arc<str>]) -> Arc<str> {
    names.iter().flat_map(|name| ["/", name]).collect::<String>().into()
}
