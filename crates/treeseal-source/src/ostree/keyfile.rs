//! Configuration in groups of keys, as GLib's `GKeyFile` reads it.

/// The last value that a key has in a group.
pub(super) fn value<'t>(text: &'t str, group: &str, key: &str) -> Option<&'t str> {
    let mut is_wanted = false;
    let mut value = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            is_wanted = name.strip_suffix(']') == Some(group);
        } else if is_wanted
            && let Some((name, text)) = line.split_once('=')
            && name.trim_end() == key
        {
            value = Some(text.trim_start());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn the_last_value_of_a_key_in_its_group_counts() {
        let text = "a = 0\n[one]\na = 1\n# a = 9\n a=2 = 3 \n[two]\na=4\n[one ]\na=5";
        assert_eq!(value(text, "one", "a"), Some("2 = 3"));
        assert_eq!(value(text, "two", "a"), Some("4"));
        assert_eq!(value(text, "two", "b"), None);
        assert_eq!(value(text, "three", "a"), None);
    }
}
