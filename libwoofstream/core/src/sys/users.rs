//! Names of users and groups of this machine, from `/etc/passwd` and `/etc/group`.
//!
//! Read by hand: the C library asks modules that a static binary cannot load. Users that only a directory service knows have no
//! name here, and are known by their number.
//!
//! Failure contract: what cannot be read or is not understood has no name.

use std::io::Read as _;

/// The largest file of users or groups that is read, in bytes; names beyond it are not known.
const FILE_MAX: u64 = 16 << 20;

/// The login name of a user, by number.
pub fn user_name(uid: u32) -> Option<String> {
    name_in(&read("/etc/passwd")?, uid)
}

/// The names of groups, by number. Groups without a name are left out.
pub fn group_names(gids: &[u32]) -> Vec<String> {
    if gids.is_empty() {
        return Vec::new();
    }
    let text = read("/etc/group").unwrap_or_default();
    gids.iter().filter_map(|gid| name_in(&text, *gid)).collect()
}

/// The numbers of the groups that a user is in: `gid` first, then those that list the user's name.
pub fn gids_of(uid: u32, gid: u32) -> Vec<u32> {
    let mut gids = vec![gid];
    if let (Some(user), Some(text)) = (user_name(uid), read("/etc/group")) {
        gids.extend(groups_with(&text, &user).filter(|other| *other != gid));
    }
    gids
}

/// The numbers of the groups whose members' list has `user`. Lines are `name:password:number:members`.
fn groups_with<'a>(text: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let number = fields.nth(2)?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == user).then_some(number)
    })
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The first field of the line whose third is `id`: both files begin `name:password:number:`.
fn name_in(text: &str, id: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == id).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_number() {
        let text =
            "root:x:0:0:root:/:/bin/sh\n# a comment\nbad\nhalf:x\n:x:7::\nalice:x:1000:1000::/a:/bin/sh\n";
        assert_eq!(name_in(text, 0).as_deref(), Some("root"));
        assert_eq!(name_in(text, 1000).as_deref(), Some("alice"));
        assert_eq!(name_in(text, 7), None);
        assert_eq!(name_in(text, 1001), None);
    }

    #[test]
    fn groups_are_found_by_their_members() {
        let text = "root:x:0:\nops:x:27:alice,bob\nbad\nweb:x:33:bob\nhalf:x:5\nodd:x:zz:bob\n";
        assert_eq!(groups_with(text, "bob").collect::<Vec<_>>(), [27, 33]);
        assert_eq!(groups_with(text, "bo").count(), 0);
    }

    #[test]
    fn no_groups_have_no_names() {
        assert_eq!(group_names(&[]), Vec::<String>::new());
    }
}
