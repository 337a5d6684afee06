use core::fmt;
use core::str::FromStr;

/// The name that a sequence of trees is published under: `vendor/product/arch/channel`.
///
/// 1 to 16 components separated by `/`, each 1 to 64 bytes of `[A-Za-z0-9._-]` and not starting
/// with a dot; at most 255 bytes in all. So a stream can be part of a path or a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(String);

/// The streams that a rule of the trust root is for.
///
/// Written as a stream (that one), a stream and `/*` (all that have one or more further
/// components), or `*` (all).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamPattern(Pattern);

/// A text is not a stream's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Longer than 255 bytes.
    #[error("a stream's name has at most {MAX_LENGTH} bytes, found {found}")]
    TooLong {
        /// Number of bytes in the text.
        found: usize,
    },
    /// More than 16 components.
    #[error("a stream's name has at most {MAX_COMPONENTS} components, found {found}")]
    TooManyComponents {
        /// Number of components in the text.
        found: usize,
    },
    /// A component that is empty, too long, or has a character it may not have.
    #[error(
        "`{component}` cannot be part of a stream's name: a component has 1 to \
         {MAX_COMPONENT_LENGTH} characters of A-Z, a-z, 0-9, `.`, `_`, `-`, and no dot first"
    )]
    Component {
        /// The component.
        component: String,
    },
}

const MAX_LENGTH: usize = 255;
const MAX_COMPONENTS: usize = 16;
const MAX_COMPONENT_LENGTH: usize = 64;

impl Stream {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, from the left.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for Stream {
    type Err = StreamError;

    fn from_str(text: &str) -> Result<Self, StreamError> {
        if text.len() > MAX_LENGTH {
            return Err(StreamError::TooLong { found: text.len() });
        }
        let found = text.split('/').count();
        if found > MAX_COMPONENTS {
            return Err(StreamError::TooManyComponents { found });
        }
        match text.split('/').find(|component| !is_component(component)) {
            Some(component) => Err(StreamError::Component { component: component.to_owned() }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_component(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_COMPONENT_LENGTH).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(allowed)
}

/// Ordered from the least specific to the most specific kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Pattern {
    All,
    /// Everything below this stream, but not the stream itself.
    Below(Stream),
    Exact(Stream),
}

impl StreamPattern {
    /// The pattern `*`, for all streams.
    pub const fn all() -> Self {
        Self(Pattern::All)
    }

    /// Whether the rule is for `stream`.
    pub fn matches(&self, stream: &Stream) -> bool {
        match &self.0 {
            Pattern::All => true,
            // The `/` keeps `a/b/*` away from `a/bc/d`.
            Pattern::Below(prefix) => {
                stream.0.strip_prefix(&prefix.0).is_some_and(|rest| rest.starts_with('/'))
            }
            Pattern::Exact(exact) => exact == stream,
        }
    }

    /// How specific the pattern is; of the patterns that match one stream no two are equal in it.
    ///
    /// A stream's own name comes before any prefix, a longer prefix before a shorter one, and `*`
    /// last. Length alone would not do: `a/*` is as long as `a/b`.
    pub(crate) fn specificity(&self) -> (u8, usize) {
        match &self.0 {
            Pattern::All => (0, 0),
            Pattern::Below(prefix) => (1, prefix.0.len()),
            Pattern::Exact(_) => (2, 0),
        }
    }
}

impl From<Stream> for StreamPattern {
    /// The pattern for this one stream.
    fn from(stream: Stream) -> Self {
        Self(Pattern::Exact(stream))
    }
}

impl FromStr for StreamPattern {
    type Err = StreamError;

    fn from_str(text: &str) -> Result<Self, StreamError> {
        if text == "*" {
            return Ok(Self(Pattern::All));
        }
        match text.strip_suffix("/*") {
            Some(prefix) => Ok(Self(Pattern::Below(prefix.parse()?))),
            None => Ok(Self(Pattern::Exact(text.parse()?))),
        }
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::All => f.write_str("*"),
            Pattern::Below(prefix) => write!(f, "{prefix}/*"),
            Pattern::Exact(stream) => write!(f, "{stream}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Stream {
        text.parse().unwrap()
    }

    fn pattern(text: &str) -> StreamPattern {
        text.parse().unwrap()
    }

    #[test]
    fn names_within_the_limits_are_streams() {
        let longest = ["a".repeat(64), "b".repeat(64), "c".repeat(64), "d".repeat(60)].join("/");
        for text in ["a", "acme/os/x86_64/stable", "A.b-c_9", &vec!["x"; 16].join("/"), &longest] {
            assert_eq!(stream(text).to_string(), text);
        }
        assert_eq!(stream("a/b").components().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn names_outside_the_limits_are_refused() {
        for text in [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/..", ".a", "a b", "a\0", "ä", "a*", "*",
            "a/*", "a\n",
        ] {
            assert!(matches!(text.parse::<Stream>(), Err(StreamError::Component { .. })), "{text}");
        }
        assert_eq!(
            vec!["x"; 17].join("/").parse::<Stream>(),
            Err(StreamError::TooManyComponents { found: 17 })
        );
        assert!("a".repeat(65).parse::<Stream>().is_err());
        assert_eq!("a".repeat(256).parse::<Stream>(), Err(StreamError::TooLong { found: 256 }));
    }

    #[test]
    fn patterns_match_whole_components_only() {
        for (text, matching, other) in [
            ("a/b", "a/b", "a/b/c"),
            ("a/b/*", "a/b/c", "a/bc/d"),
            ("a/b/*", "a/b/c/d", "a/b"),
            ("a/*", "a/b", "b/a"),
        ] {
            assert!(pattern(text).matches(&stream(matching)), "{text} {matching}");
            assert!(!pattern(text).matches(&stream(other)), "{text} {other}");
        }
        assert!(pattern("*").matches(&stream("a")));
    }

    #[test]
    fn the_more_specific_pattern_is_greater() {
        let order = ["*", "a/*", "a/b/*", "a/b/c"];
        for pair in order.windows(2) {
            assert!(pattern(pair[0]).specificity() < pattern(pair[1]).specificity());
        }
        assert!(pattern("a/*").specificity() < pattern("a/b").specificity());
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for text in ["", "/*", "**", "a*", "a/*/b", "a/**", "a//*", "../*"] {
            assert!(text.parse::<StreamPattern>().is_err(), "{text}");
        }
        assert_eq!(pattern("a/b/*").to_string(), "a/b/*");
        assert_eq!(pattern("*"), StreamPattern::all());
        assert_eq!(StreamPattern::all().to_string(), "*");
    }
}
