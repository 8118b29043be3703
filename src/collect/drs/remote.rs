//! A backup folder of a host, over SFTP.

use ssh2::Sftp;

use super::{Fetched, Folder, Item, LIST_LIMIT};
use crate::collect::sftp::{Roots, clock, fetch, walk};
use crate::collect::ssh::Link;
use crate::collect::tree::Plan;
use crate::collect::{CollectError, Context};
use crate::inventory::{Device, Remote};
use crate::model::{ConfigPath, Kind};

pub(super) struct Far<'l, 'a> {
    link: &'l Link<'a>,
    sftp: Option<Sftp>,
    roots: Roots,
    now_ns: i64,
}

impl<'l, 'a> Far<'l, 'a> {
    pub(super) fn open(link: &'l Link<'a>, remote: &Remote) -> Result<Self, CollectError> {
        let now_ns = clock(link);
        let sftp = Some(link.call("opening SFTP", |session| session.sftp())?);
        let roots = Roots { base: format!("{}/", remote.path.trim_end_matches('/')), starts: Vec::new() };
        Ok(Self { link, sftp, roots, now_ns })
    }

    fn sftp(&mut self) -> Result<Sftp, CollectError> {
        match self.sftp.take() {
            Some(sftp) => Ok(sftp),
            None => Ok(self.link.call("opening SFTP", |session| session.sftp())?),
        }
    }
}

impl Folder for Far<'_, '_> {
    fn items(&mut self) -> Result<Vec<Item>, CollectError> {
        use std::os::unix::ffi::OsStrExt as _;
        let place = self.roots.absolute(None);
        let sftp = self.sftp()?;
        let mut handle = match walk::call(self.link, || sftp.opendir(walk::os(&place))) {
            Err(walk::SftpError::Missing) => return Err(CollectError::Missing(walk::os(&place).to_owned())),
            handle => handle.map_err(|error| error.at(&place))?,
        };
        let mut items = Vec::new();
        while let Some((name, stat)) = walk::call(self.link, || walk::read_entry(&mut handle)).map_err(|e| e.at(&place))? {
            let name = name.as_os_str().as_bytes().to_vec();
            // Anything that is no plain file name is no file of DRS.
            let Ok(path) = ConfigPath::new(name.clone()) else { continue };
            if let Ok(node) = walk::node(path, &stat)
                && node.kind == Kind::File
                && !name.contains(&b'/')
            {
                let (size, mtime_ns) = (node.stamp.size, node.stamp.mtime_ns);
                items.push(Item { name, size, mtime_ns, mode: node.mode, owner: node.owner });
            }
        }
        walk::call(self.link, || handle.close()).map_err(|error| error.at(&place))?;
        drop(handle);
        self.sftp = Some(sftp);
        Ok(items)
    }

    fn list(&mut self, item: &Item) -> Result<Vec<u8>, CollectError> {
        let path = [self.roots.base.as_bytes(), &item.name].concat();
        let sftp = self.sftp()?;
        let bytes = fetch::read_small(self.link, &sftp, &path, LIST_LIMIT)?;
        self.sftp = Some(sftp);
        Ok(bytes)
    }

    fn fetch(&mut self, plan: &mut Plan<'_>, device: &Device, context: &Context<'_>) -> Result<Fetched, CollectError> {
        let mut read_bytes = 0;
        let sftp = self.sftp()?;
        let contents = fetch::fetch(self.link, sftp, &self.roots, plan, device, context, &mut read_bytes)?;
        Ok(Fetched { contents, referenced: Vec::new(), read_bytes })
    }

    fn now_ns(&self) -> i64 {
        self.now_ns
    }

    fn warnings(&self) -> Vec<String> {
        self.link.warnings()
    }
}
