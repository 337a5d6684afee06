use treeseal_trust::Sequence;

/// What the kernel's command line asks for. It can only narrow what is accepted.
///
/// A boot loader that nobody protects can add to the command line. So no parameter turns a check off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `treeseal.sequence`: this tree and no other.
    pub sequence: Option<Sequence>,
    /// `treeseal.tries`: at most so many tries, if the configuration allows as many.
    pub tries: Option<u32>,
}

/// A parameter is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandLineError {
    /// There is no such parameter.
    #[error(
        "the kernel's command line has `{found}`, which is no parameter: there are treeseal.sequence=N \
         and treeseal.tries=N"
    )]
    Unknown {
        /// The parameter with its value.
        found: String,
    },
    /// The value is no number that is allowed.
    #[error("the kernel's command line has `{found}`: {name} is a number from {min} to {max}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// The parameter with its value.
        found: String,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A parameter comes twice.
    #[error("the kernel's command line has {name} twice")]
    Twice {
        /// The parameter.
        name: &'static str,
    },
    /// Nothing says which deployment is booted.
    #[error("the kernel's command line has no `ostree=`, which names the deployment")]
    NoDeployment,
}

const PREFIX: &[u8] = b"treeseal.";
const SEQUENCE: &str = "treeseal.sequence";
const TRIES: &str = "treeseal.tries";
const OSTREE: &str = "ostree";

impl CommandLine {
    /// Reads `/proc/cmdline`. What does not begin with `treeseal.` is for others.
    pub fn parse(bytes: &[u8]) -> Result<Self, CommandLineError> {
        let mut parsed = Self::default();
        for word in words(bytes).filter(|word| word.starts_with(PREFIX)) {
            let (name, value) = split(&word);
            match name {
                name if name == SEQUENCE.as_bytes() => {
                    let number =
                        number(SEQUENCE, &word, value, 1, treeseal_trust::json::MAX_INTEGER)?;
                    once(SEQUENCE, &mut parsed.sequence, Sequence::new(number))?;
                }
                name if name == TRIES.as_bytes() => {
                    let number = number(TRIES, &word, value, 0, u32::MAX.into())?;
                    once(TRIES, &mut parsed.tries, u32::try_from(number).ok())?;
                }
                _ => return Err(CommandLineError::Unknown { found: shown(&word) }),
            }
        }
        Ok(parsed)
    }

    /// The value of `ostree`, by which OSTree's boot entries name a deployment. Of two of them another
    /// program might take the other.
    pub fn deployment(bytes: &[u8]) -> Result<String, CommandLineError> {
        let mut named = None;
        for word in words(bytes) {
            let (name, value) = split(&word);
            if name == OSTREE.as_bytes() {
                once(OSTREE, &mut named, Some(String::from_utf8_lossy(value).into_owned()))?;
            }
        }
        named.ok_or(CommandLineError::NoDeployment)
    }
}

/// The words, without quotes: the kernel splits at white space outside of `"`.
fn words(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut is_quoted = false;
    let words = bytes.split(move |byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && byte.is_ascii_whitespace()
    });
    words.map(|word| word.iter().copied().filter(|byte| *byte != b'"').collect())
}

fn split(word: &[u8]) -> (&[u8], &[u8]) {
    let at = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
    let (name, rest) = word.split_at(at);
    (name, rest.get(1..).unwrap_or_default())
}

fn number(
    name: &'static str,
    word: &[u8],
    value: &[u8],
    min: u64,
    max: u64,
) -> Result<u64, CommandLineError> {
    let digits = Some(value).filter(|value| value.iter().all(u8::is_ascii_digit));
    let number = digits.and_then(|value| str::from_utf8(value).ok()?.parse().ok());
    number.filter(|number| (min..=max).contains(number)).ok_or_else(|| CommandLineError::Value {
        name,
        found: shown(word),
        min,
        max,
    })
}

fn once<T>(
    name: &'static str,
    place: &mut Option<T>,
    value: Option<T>,
) -> Result<(), CommandLineError> {
    match place {
        Some(_) => Err(CommandLineError::Twice { name }),
        None => {
            *place = value;
            Ok(())
        }
    }
}

fn shown(word: &[u8]) -> String {
    word.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CommandLine, CommandLineError> {
        CommandLine::parse(text.as_bytes())
    }

    #[test]
    fn what_is_for_others_is_left_alone() {
        let text = "console=ttyS0 quiet \"dyndbg=file a +p\" xtreeseal.sequence=1 root=/dev/sda\n";
        assert_eq!(parse(text), Ok(CommandLine::default()));
        assert_eq!(CommandLine::parse(b"\xff\0 \"unended"), Ok(CommandLine::default()));
    }

    #[test]
    fn both_parameters_are_read() {
        let expected = CommandLine { sequence: Sequence::new(41), tries: Some(0) };
        assert_eq!(parse("a treeseal.sequence=41\ttreeseal.tries=0\n"), Ok(expected));
        assert_eq!(parse("\"treeseal.sequence=41\" treeseal.tries=\"0\""), Ok(expected));
    }

    #[test]
    fn parameters_that_do_not_exist_are_refused() {
        for word in [
            "treeseal.verify=0",
            "treeseal.",
            "treeseal.sequence.x=1",
            "treeseal.Sequence=1",
            "treeseal.enforce=fuse",
            "\"treeseal.insecure\"",
        ] {
            let error = parse(&format!("quiet {word} -- single")).unwrap_err();
            assert!(matches!(error, CommandLineError::Unknown { .. }), "{word}: {error}");
        }
        assert_eq!(
            parse("treeseal.verify=0").unwrap_err().to_string(),
            "the kernel's command line has `treeseal.verify=0`, which is no parameter: there are \
             treeseal.sequence=N and treeseal.tries=N"
        );
    }

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        for word in [
            "treeseal.sequence",
            "treeseal.sequence=",
            "treeseal.sequence=0",
            "treeseal.sequence=-1",
            "treeseal.sequence=+1",
            "treeseal.sequence=9007199254740992",
            "treeseal.sequence=99999999999999999999999",
            "treeseal.sequence=newest",
            "treeseal.tries=4294967296",
            "treeseal.tries=0x1",
        ] {
            let error = parse(word).unwrap_err();
            assert!(matches!(error, CommandLineError::Value { .. }), "{word}: {error}");
        }
        assert_eq!(
            parse("treeseal.sequence=0").unwrap_err().to_string(),
            "the kernel's command line has `treeseal.sequence=0`: treeseal.sequence is a number from 1 \
             to 9007199254740991"
        );
    }

    #[test]
    fn one_word_names_a_deployment() {
        let named = |text: &str| CommandLine::deployment(text.as_bytes());
        assert_eq!(named("quiet ostree=/ostree/boot.1/a root=x"), Ok("/ostree/boot.1/a".into()));
        assert_eq!(named("quiet xostree=/a ostree.b=/c"), Err(CommandLineError::NoDeployment));
        assert_eq!(named("ostree=/a ostree=/a"), Err(CommandLineError::Twice { name: OSTREE }));
    }

    #[test]
    fn a_parameter_comes_once() {
        let error = parse("treeseal.tries=1 treeseal.tries=1").unwrap_err();
        assert_eq!(error, CommandLineError::Twice { name: TRIES });
    }
}
