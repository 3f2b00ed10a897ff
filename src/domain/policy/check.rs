//! The rule language of `policy.yaml`: text → check → verdict (operations.md §5).
//!
//! ```text
//! rule  = ""                         everybody
//!       | or | JSON list of lists    outer list "or", inner lists "and" (the old form)
//! or    = and { "or" and }
//! and   = unary { "and" unary }
//! unary = "not" unary | "(" or ")" | "@" | "!" | kind ":" match
//! ```
//!
//! A verdict has three values, because a rule that cannot be judged (unparsable, unknown or cyclic) must deny
//! whatever stands around it: with plain `false`, `not rule:typo` would let everybody in.

use std::borrow::Cow;
use std::iter::Peekable;
use std::vec::IntoIter;

use serde::Deserialize;

use super::enforce::Facts;

/// Longest rule text in bytes.
const MAX_LEN: usize = 16 * 1024;
/// Deepest nesting of parentheses and `not` in one rule.
const MAX_NESTING: usize = 64;
/// Checks that one evaluation may visit, and how deep it may go; rules that refer to each other can be cyclic or
/// grow exponentially.
const MAX_STEPS: u32 = 10_000;
const MAX_DEPTH: u32 = 256;

/// One parsed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// `@` or empty text.
    Everybody,
    /// `!`
    Nobody,
    /// A text that could not be parsed. Never holds, not even negated.
    Broken,
    /// Does not hold.
    Not(Box<Check>),
    /// All hold.
    All(Vec<Check>),
    /// At least one holds.
    Any(Vec<Check>),
    /// `rule:name`
    Rule(String),
    /// `role:name`; literal text is in lower case.
    Role(Template),
    /// `'text':match`, `True:match`, `5:match`
    Literal(String, Template),
    /// `attribute:match`: an attribute of the caller.
    Attribute(String, Template),
}

/// The right side of a check: text with `%(attribute)s` of the target in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Target(String),
}

/// Why a rule text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Longer than rules may be.
    #[error("longer than {MAX_LEN} bytes")]
    TooLong,
    /// Nested deeper than rules may be.
    #[error("nested deeper than {MAX_NESTING} levels")]
    TooDeep,
    /// A list that is not one of checks or lists of checks.
    #[error("not a list of lists of checks")]
    List,
    /// The text ends where a check should follow.
    #[error("a check is missing at the end")]
    End,
    /// A word where another kind of word should stand.
    #[error("'{0}' is not expected here")]
    Unexpected(String),
    /// A single check that makes no sense.
    #[error("'{0}' is not a check")]
    BadCheck(String),
    /// A check that asks another server; it would let every request wait for that server.
    #[error("'{0}' checks are not supported")]
    Remote(String),
}

impl Check {
    /// Parses one rule. Works on any text, in bounded memory and depth.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_LEN {
            return Err(SyntaxError::TooLong);
        }
        if text.is_empty() {
            return Ok(Self::Everybody);
        }
        if text.trim_start().starts_with('[') {
            return parse_list(text);
        }
        let mut parser = Parser(tokenize(text)?.into_iter().peekable());
        let check = parser.any(0)?;
        match parser.0.next() {
            None => Ok(check),
            Some(token) => Err(SyntaxError::Unexpected(token.to_string())),
        }
    }

    /// Whether the rule holds. Errors of any kind are a no.
    pub fn allows(&self, facts: &Facts<'_>) -> bool {
        self.judge(facts, MAX_DEPTH, &mut { MAX_STEPS }) == Some(true)
    }

    /// `None` means: cannot be judged.
    fn judge(&self, facts: &Facts<'_>, depth: u32, steps: &mut u32) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        *steps = steps.checked_sub(1)?;
        match self {
            Self::Everybody => Some(true),
            Self::Nobody => Some(false),
            Self::Broken => None,
            Self::Not(check) => check.judge(facts, depth, steps).map(|held| !held),
            Self::All(checks) => judge_until(false, checks, facts, depth, steps),
            Self::Any(checks) => judge_until(true, checks, facts, depth, steps),
            Self::Rule(name) => facts.rule(name)?.judge(facts, depth, steps),
            Self::Role(role) => Some(role.render(facts).is_some_and(|role| match role {
                Cow::Borrowed(role) => facts.has_role(role),
                Cow::Owned(role) => facts.has_role(&role.to_lowercase()),
            })),
            Self::Literal(text, value) => Some(value.render(facts).is_some_and(|value| value == *text)),
            Self::Attribute(name, value) => {
                Some(value.render(facts).is_some_and(|value| facts.caller_is(name, &value)))
            }
        }
    }

    /// Names of the rules this one refers to.
    pub fn references(&self) -> Vec<&str> {
        match self {
            Self::Rule(name) => vec![name],
            Self::Not(check) => check.references(),
            Self::All(checks) | Self::Any(checks) => checks.iter().flat_map(Self::references).collect(),
            _ => Vec::new(),
        }
    }
}

/// `decisive` for the first check with that verdict; otherwise the opposite, unless one could not be judged.
fn judge_until(
    decisive: bool,
    checks: &[Check],
    facts: &Facts<'_>,
    depth: u32,
    steps: &mut u32,
) -> Option<bool> {
    let mut verdict = Some(!decisive);
    for check in checks {
        match check.judge(facts, depth, steps) {
            Some(held) if held == decisive => return Some(decisive),
            Some(_) => {}
            None => verdict = None,
        }
    }
    verdict
}

impl Template {
    /// Parses text with `%(name)s` and `%%`.
    fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            if let Some(tail) = after.strip_prefix('%') {
                literal.push('%');
                rest = tail;
                continue;
            }
            let (name, tail) = after.strip_prefix('(')?.split_once(")s")?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Target(name.to_owned()));
            rest = tail;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Some(Self(pieces))
    }

    fn lowercased(mut self) -> Self {
        for piece in &mut self.0 {
            if let Piece::Text(text) = piece {
                *text = text.to_lowercase();
            }
        }
        self
    }

    /// None if the target lacks an attribute that is named. Text without attributes comes back borrowed.
    fn render(&self, facts: &Facts<'_>) -> Option<Cow<'_, str>> {
        if let [Piece::Text(text)] = self.0.as_slice() {
            return Some(Cow::Borrowed(text));
        }
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Target(name) => text.push_str(&facts.target(name)?),
            }
        }
        Some(Cow::Owned(text))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Check(Check, String),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Check(_, text) => text,
        })
    }
}

/// Splits at white space. Parentheses count only at the ends of a word, since `%(name)s` has some inside.
fn tokenize(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('(') {
            tokens.push(Token::Open);
            rest = tail.trim_start();
            continue;
        }
        let (word, tail) = rest.split_at(word_end(rest));
        let core = word.trim_end_matches(')');
        if !core.is_empty() {
            tokens.push(word_token(core)?);
        }
        tokens.extend(std::iter::repeat_n(Token::Close, word.len() - core.len()));
        rest = tail.trim_start();
    }
    Ok(tokens)
}

/// Where the first word of `text` ends; white space inside quotes belongs to the word.
fn word_end(text: &str) -> usize {
    let quoted = text
        .chars()
        .next()
        .filter(|first| matches!(first, '\'' | '"'))
        .and_then(|quote| text.get(1..)?.find(quote))
        .map_or(0, |closing| closing + 2);
    let tail = text.get(quoted..).unwrap_or_default();
    quoted + tail.find(char::is_whitespace).unwrap_or(tail.len())
}

fn word_token(word: &str) -> Result<Token, SyntaxError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "and" => Token::And,
        "or" => Token::Or,
        "not" => Token::Not,
        _ => Token::Check(parse_check(word)?, word.to_owned()),
    })
}

/// Parses one check without operators.
fn parse_check(word: &str) -> Result<Check, SyntaxError> {
    match word {
        "@" => return Ok(Check::Everybody),
        "!" => return Ok(Check::Nobody),
        _ => {}
    }
    let bad = || SyntaxError::BadCheck(word.to_owned());
    if let Some(quote) = word.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let (text, tail) = word.get(1..).and_then(|inner| inner.split_once(quote)).ok_or_else(bad)?;
        let value = tail.strip_prefix("==").or_else(|| tail.strip_prefix(':')).ok_or_else(bad)?;
        if text.contains('\\') {
            return Err(bad());
        }
        return Ok(Check::Literal(text.to_owned(), Template::parse(value).ok_or_else(bad)?));
    }
    let (kind, value) = split_kind(word).ok_or_else(bad)?;
    let value_template = || Template::parse(value).ok_or_else(bad);
    match kind {
        "rule" if value.is_empty() => Err(bad()),
        "rule" => Ok(Check::Rule(value.to_owned())),
        "role" => Ok(Check::Role(value_template()?.lowercased())),
        "http" | "https" => Err(SyntaxError::Remote(kind.to_owned())),
        "True" | "False" | "None" => Ok(Check::Literal(kind.to_owned(), value_template()?)),
        _ if kind.parse::<i64>().is_ok() => Ok(Check::Literal(kind.to_owned(), value_template()?)),
        _ if is_attribute(kind) => Ok(Check::Attribute(kind.to_owned(), value_template()?)),
        _ => Err(bad()),
    }
}

/// Splits at the first `:` or `==`.
fn split_kind(word: &str) -> Option<(&str, &str)> {
    let colon = word.split_once(':');
    let equals = word.split_once("==");
    match (colon, equals) {
        (Some(colon), Some(equals)) => Some(if colon.0.len() < equals.0.len() { colon } else { equals }),
        (colon, equals) => colon.or(equals),
    }
}

fn is_attribute(kind: &str) -> bool {
    !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inner {
    One(String),
    Several(Vec<String>),
}

fn parse_list(text: &str) -> Result<Check, SyntaxError> {
    let outer: Vec<Inner> = serde_json::from_str(text).map_err(|_| SyntaxError::List)?;
    if outer.is_empty() {
        return Ok(Check::Everybody);
    }
    let any = outer
        .into_iter()
        .map(|inner| match inner {
            Inner::One(check) => vec![check],
            Inner::Several(checks) => checks,
        })
        .filter(|checks| checks.iter().any(|check| !check.is_empty()))
        .map(|checks| checks.iter().map(|check| parse_check(check)).collect::<Result<_, _>>().map(Check::All))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Check::Any(any))
}

struct Parser(Peekable<IntoIter<Token>>);

impl Parser {
    fn skip(&mut self, token: &Token) -> bool {
        self.0.next_if_eq(token).is_some()
    }

    fn any(&mut self, depth: usize) -> Result<Check, SyntaxError> {
        let mut checks = vec![self.all(depth)?];
        while self.skip(&Token::Or) {
            checks.push(self.all(depth)?);
        }
        Ok(single_or(checks, Check::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Check, SyntaxError> {
        let mut checks = vec![self.unary(depth)?];
        while self.skip(&Token::And) {
            checks.push(self.unary(depth)?);
        }
        Ok(single_or(checks, Check::All))
    }

    fn unary(&mut self, depth: usize) -> Result<Check, SyntaxError> {
        if depth >= MAX_NESTING {
            return Err(SyntaxError::TooDeep);
        }
        match self.0.next().ok_or(SyntaxError::End)? {
            Token::Not => Ok(Check::Not(Box::new(self.unary(depth + 1)?))),
            Token::Check(check, _) => Ok(check),
            Token::Open => {
                let check = self.any(depth + 1)?;
                match self.0.next().ok_or(SyntaxError::End)? {
                    Token::Close => Ok(check),
                    token => Err(SyntaxError::Unexpected(token.to_string())),
                }
            }
            token => Err(SyntaxError::Unexpected(token.to_string())),
        }
    }
}

fn single_or(mut checks: Vec<Check>, join: fn(Vec<Check>) -> Check) -> Check {
    match checks.pop() {
        Some(only) if checks.is_empty() => only,
        last => {
            checks.extend(last);
            join(checks)
        }
    }
}
