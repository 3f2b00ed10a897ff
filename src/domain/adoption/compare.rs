//! What of an image that was taken over is not as in Glance any more.

use std::collections::{BTreeMap, BTreeSet};

use super::Adoption;
use crate::domain::image::Image;
use crate::domain::member::Member;

impl Adoption {
    /// What of the image here is not as in Glance: the names of attributes, properties and members, without values.
    /// Times, the order of tags, and what the service itself keeps in properties do not count; places are not looked at.
    pub fn differences(&self, here: &Image, members: &[Member]) -> Vec<String> {
        let there = &self.image;
        let attributes = [
            ("owner", here.owner == there.owner),
            ("name", here.name == there.name),
            ("status", here.status == there.status),
            ("visibility", here.visibility == there.visibility),
            ("os_hidden", here.os_hidden == there.os_hidden),
            ("protected", here.protected == there.protected),
            ("disk_format", here.disk_format == there.disk_format),
            ("container_format", here.container_format == there.container_format),
            ("min_disk", here.min_disk == there.min_disk),
            ("min_ram", here.min_ram == there.min_ram),
            ("size", here.size == there.size),
            ("virtual_size", here.virtual_size == there.virtual_size),
            ("checksum", here.checksum == there.checksum),
            ("os_hash_algo", here.os_hash_algo == there.os_hash_algo),
            ("os_hash_value", here.os_hash_value == there.os_hash_value),
            ("tags", set(&here.tags) == set(&there.tags)),
        ];
        let attributes = attributes.into_iter().filter(|(_, same)| !same).map(|(name, _)| name.to_owned());
        let properties = unequal("property", &here.properties, &there.properties);
        let members = unequal("member", &by_name(members), &by_name(&self.members));
        attributes.chain(properties).chain(members).collect()
    }

    /// Whether the data that the image here has is said to be other data in Glance.
    pub fn is_of_other_data(&self, here: &Image) -> bool {
        let there = &self.image;
        let same_algorithm = here.os_hash_algo == there.os_hash_algo;
        here.size != there.size
            || here.checksum.is_some() && here.checksum != there.checksum
            || here.os_hash_value.is_some() && !(same_algorithm && here.os_hash_value == there.os_hash_value)
    }
}

fn set(tags: &[String]) -> BTreeSet<&str> {
    tags.iter().map(String::as_str).collect()
}

/// Members with what they may do and what they say.
fn by_name(members: &[Member]) -> BTreeMap<String, (bool, &str)> {
    let all = members.iter();
    all.map(|member| (member.member.clone(), (member.can_share, member.status.as_str()))).collect()
}

/// The names that have not the same value on both sides.
fn unequal<V: PartialEq>(kind: &str, here: &BTreeMap<String, V>, there: &BTreeMap<String, V>) -> Vec<String> {
    let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let unequal = names.into_iter().filter(|name| here.get(*name) != there.get(*name));
    unequal.map(|name| format!("{kind} `{name}`")).collect()
}
