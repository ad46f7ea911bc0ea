//! The card as the kernel asks for it. Nothing is cached on the way: every write comes here.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::card::{Attributes, BLOCK, Card, Handle, Kind};

/// The kernel may believe nothing for longer than this: a cut changes everything.
const TTL: Duration = Duration::ZERO;

/// The bits of a mode that say what kind of thing it is, and the one kind that is no file.
const KIND: u32 = 0o170_000;
const SOCKET: u32 = 0o140_000;

/// A card as a file system.
pub struct Mount(pub Arc<Mutex<Card>>);

impl Mount {
    fn card(&self) -> MutexGuard<'_, Card> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        kind: Kind,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let attributes = Attributes {
            mode: (mode & 0o7777) as u16,
            uid: request.uid(),
            gid: request.gid(),
            modified: SystemTime::now(),
        };
        let mut card = self.card();
        let node = card.make(parent.0, name, kind, attributes)?;
        describe(&card, node)
    }
}

fn describe(card: &Card, node: u64) -> Result<FileAttr, Errno> {
    let (kind, size) = card.kind(node)?;
    let attributes = card.attributes(node)?;
    Ok(FileAttr {
        ino: INodeNo(node),
        size,
        blocks: size.div_ceil(512),
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.modified,
        crtime: attributes.modified,
        kind,
        perm: attributes.mode,
        nlink: 1,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: BLOCK as u32,
        flags: 0,
    })
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Mount {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let card = self.card();
        entry(
            reply,
            card.find(parent.0, name).and_then(|node| describe(&card, node)),
        );
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match describe(&self.card(), node.0) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut card = self.card();
        let mut set = || {
            let mut attributes = card.attributes(node.0)?;
            attributes.mode = mode.map_or(attributes.mode, |mode| (mode & 0o7777) as u16);
            attributes.uid = uid.unwrap_or(attributes.uid);
            attributes.gid = gid.unwrap_or(attributes.gid);
            card.set_attributes(node.0, attributes)?;
            if let Some(size) = size {
                card.resize(node.0, size)?;
            }
            describe(&card, node.0)
        };
        match set() {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        match self.card().target(node.0) {
            Ok(to) => reply.data(to.as_os_str().as_encoded_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let kind = match mode & KIND {
            SOCKET => Kind::Socket,
            _ => Kind::File,
        };
        entry(reply, self.make(request, parent, name, kind, mode & !umask));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        entry(
            reply,
            self.make(request, parent, name, Kind::Directory, mode & !umask),
        );
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, to: &Path, reply: ReplyEntry) {
        entry(
            reply,
            self.make(request, parent, name, Kind::Link(to.into()), 0o777),
        );
    }

    fn link(&self, _: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut card = self.card();
        let linked = card.link(node.0, parent.0, name);
        entry(reply, linked.and_then(|()| describe(&card, node.0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.card().remove(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.card().remove(parent.0, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let renamed = self.card().rename((parent.0, name), (new_parent.0, new_name));
        empty(reply, renamed);
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.card().open(node.0) {
            Ok(Handle(handle)) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(request, parent, name, Kind::File, mode & !umask);
        let opened = made.and_then(|attr| Ok((attr, self.card().open(attr.ino.0)?)));
        match opened {
            Ok((attr, Handle(handle))) => reply.created(
                &TTL,
                &attr,
                Generation(0),
                FileHandle(handle),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        at: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.card().read(node.0, Handle(handle.0), at, size) {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        at: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.card().write(node.0, Handle(handle.0), at, bytes) {
            Ok(written) => reply.written(written as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.card().close(node.0, Handle(handle.0));
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.card().sync(node.0, Handle(handle.0)));
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.card().open(node.0) {
            Ok(Handle(handle)) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, node: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let card = self.card();
        let names = match card.names(node.0) {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        for (at, (name, node)) in names.iter().enumerate().skip(offset as usize) {
            let kind = card.kind(*node).map_or(FileType::RegularFile, |(kind, _)| kind);
            if reply.add(INodeNo(*node), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, node: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.card().close(node.0, Handle(handle.0));
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.card().sync(node.0, Handle(handle.0)));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (blocks, free) = self.card().blocks();
        reply.statfs(blocks, free, free, 0, 0, BLOCK as u32, 255, BLOCK as u32);
    }
}
