//! SQL text to syntax tree, with byte positions.

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use crate::error::{Error, Result};

/// Longest filter or statement, in bytes.
pub const SQL_MAX_BYTES: usize = 64 << 10;
/// Deepest nesting of parentheses, calls and subqueries in a filter or statement.
pub const SQL_MAX_DEPTH: usize = 128;
/// Most operators in one filter or statement: a chain of them is as deep a tree as it is long.
pub const SQL_MAX_OPERATORS: usize = 1_000;

/// Most queries in one statement: each may stand on the one before it.
const SELECTS_MAX: usize = 200;

static DIALECT: GenericDialect = GenericDialect {};

/// A text of SQL whose places are known by byte.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    text: &'a str,
    what: &'static str,
}

impl<'a> Text<'a> {
    /// `what` names the text in errors: `filter`, `statement`.
    pub(crate) fn new(text: &'a str, what: &'static str) -> Self {
        Self { text, what }
    }

    /// The byte at which line and column (both from 1, the column in characters) lie.
    pub(crate) fn byte_of(&self, location: Location) -> Option<usize> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
        let line_start: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let rest = self.text.get(line_start..)?;
        Some(line_start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
    }

    /// Reads one expression, to the end of the text.
    pub(crate) fn expression(&self) -> Result<Expr> {
        let tokens = self.tokens()?;
        if !tokens.iter().any(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
            return Err(Error::invalid(format!("the {} is empty", self.what)).at(0));
        }
        if let Some(semicolon) = tokens.iter().find(|token| token.token == Token::SemiColon) {
            let error = Error::invalid(format!("a {} is one expression and may not contain ;", self.what));
            return Err(self.placed(error, semicolon.span.start));
        }
        let mut parser = self.parser(tokens)?;
        let parsed = parser.parse_into_expr().map_err(|error| self.syntax_error(error))?;
        match parsed.alias {
            None => Ok(parsed.expr),
            Some(alias) => {
                let error = Error::invalid(format!("a {} has no alias, found {alias}", self.what));
                Err(self.placed(error, alias.span.start))
            }
        }
    }

    /// Reads one statement; a final semicolon is allowed.
    pub(crate) fn statement(&self) -> Result<Statement> {
        let mut parser = self.parser(self.tokens()?)?;
        let mut statements = parser.parse_statements().map_err(|error| self.syntax_error(error))?;
        match (statements.pop_front(), statements.len()) {
            (None, _) => Err(Error::invalid(format!("the {} is empty", self.what)).at(0)),
            (Some(statement), 0) => Ok(statement),
            (Some(_), more) => Err(Error::invalid(format!("expected one statement, found {}", more + 1))),
        }
    }

    /// `error`, at the byte of `location` where there is one.
    pub(crate) fn placed(&self, error: Error, location: Location) -> Error {
        match self.byte_of(location) {
            Some(at) => error.at(at).marking(self.text),
            None => error,
        }
    }

    fn parser(&self, tokens: Vec<TokenWithSpan>) -> Result<datafusion::sql::parser::DFParser<'static>> {
        DFParserBuilder::new(tokens)
            .with_dialect(&DIALECT)
            .with_recursion_limit(SQL_MAX_DEPTH)
            .build()
            .map_err(|error| self.syntax_error(error))
    }

    fn tokens(&self) -> Result<Vec<TokenWithSpan>> {
        if self.text.len() > SQL_MAX_BYTES {
            return Err(Error::invalid(format!(
                "the {} has {} bytes, at most {SQL_MAX_BYTES} are allowed",
                self.what,
                self.text.len()
            )));
        }
        let mut tokens = Tokenizer::new(&DIALECT, self.text).tokenize_with_location().map_err(|error| {
            let said = lower_first(&error.message);
            self.placed(Error::invalid(format!("the {} does not read: {said}", self.what)), error.location)
        })?;
        // `$browser` is a property's name here and not a parameter.
        for token in &mut tokens {
            if let Token::Placeholder(name) = &mut token.token {
                let value = std::mem::take(name);
                token.token = Token::Word(Word { value, quote_style: None, keyword: Keyword::NoKeyword });
            }
        }
        let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
        if operators > SQL_MAX_OPERATORS {
            return Err(Error::invalid(format!(
                "the {} has {operators} operators, at most {SQL_MAX_OPERATORS} are allowed: write lists with IN",
                self.what
            )));
        }
        let is_select =
            |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::SELECT);
        let selects = tokens.iter().filter(is_select).count();
        if selects > SELECTS_MAX {
            return Err(Error::invalid(format!(
                "the {} has {selects} times SELECT, at most {SELECTS_MAX} are allowed",
                self.what
            )));
        }
        Ok(tokens)
    }

    fn syntax_error(&self, error: DataFusionError) -> Error {
        let message = match error {
            DataFusionError::SQL(error, _) => match *error {
                ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
                ParserError::RecursionLimitExceeded => {
                    return Error::invalid(format!("the {} is nested more than {SQL_MAX_DEPTH} deep", self.what));
                }
            },
            DataFusionError::Diagnostic(_, inner) => return self.syntax_error(*inner),
            other => return other.into(),
        };
        let (said, location) = split_location(&message);
        let error = Error::invalid(format!("the {} does not read: {}", self.what, lower_first(said)));
        // The parser says no place only where the text ends too early.
        let at = location.and_then(|location| self.byte_of(location)).unwrap_or(self.text.len());
        error.at(at).marking(self.text)
    }
}

/// What adds a level to the tree without a parenthesis that the parser counts.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            matches!(
                word.keyword,
                Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::IS | Keyword::LIKE | Keyword::UNION
            )
        }
        Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::DoubleColon
        | Token::LBracket => true,
        _ => false,
    }
}

/// Splits ` at Line: 1, Column: 17` off a message of the parser.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((said, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (message, None) };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (said, Some(Location { line, column })),
        _ => (message, None),
    }
}

fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Error {
        Text::new(text, "filter").expression().expect_err("it is refused")
    }

    #[test]
    fn dollar_names_are_identifiers_also_inside_compound_names() {
        for text in ["$browser = 'x'", "$browser.version = 'x'", "page.$url = 'x'"] {
            let parsed = Text::new(text, "filter").expression().expect("it reads");
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn refusals_carry_the_byte() {
        assert_eq!(refusal("a = 1; b").position(), Some(5));
        assert_eq!(refusal("").position(), Some(0));
        assert_eq!(refusal("  -- nothing").position(), Some(0));
        assert_eq!(refusal("a = 'ä' AND )").position(), Some(13));
        assert_eq!(refusal("a = 1\n  b").position(), Some(8));
        assert_eq!(refusal("a = 'open").position(), Some(4));
        assert_eq!(refusal("a =").position(), Some(3));
    }

    #[test]
    fn size_depth_and_operators_are_bounded() {
        let long = format!("a = '{}'", "x".repeat(SQL_MAX_BYTES));
        assert!(refusal(&long).to_string().contains("at most 65536"));
        let deep = format!("{}a{}", "(".repeat(SQL_MAX_DEPTH + 1), ")".repeat(SQL_MAX_DEPTH + 1));
        assert!(refusal(&deep).to_string().contains("more than 128 deep"), "{}", refusal(&deep));
        let chain = vec!["a"; SQL_MAX_OPERATORS + 2].join(" OR ");
        assert!(refusal(&chain).to_string().contains("operators"));
        let nested = format!("{}a{}", "(".repeat(50), ")".repeat(50));
        Text::new(&nested, "filter").expression().expect("fifty deep is fine");
    }
}
