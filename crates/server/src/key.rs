//! Keys: what a caller shows, and what the server keeps of it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::limits::KEY_BITS;
use crate::project::ProjectName;

/// The public part of a key: twelve hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    const DIGITS: usize = 12;

    /// The id in its text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = String;

    /// Reads an id.
    ///
    /// # Errors
    /// Anything but twelve hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == Self::DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("\"{text}\" is no id of a key, expected {} hexadecimal digits", Self::DIGITS))
        }
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send events.
    Write,
    /// Ask.
    Read,
    /// Send, ask, and change what is there: merge, split and erase people, keys.
    Admin,
}

impl Scope {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    /// Reads `write`, `read` or `admin`.
    ///
    /// # Errors
    /// Anything else.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Write, Self::Read, Self::Admin];
        known
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is no scope, expected write, read or admin"))
    }
}

/// What a new key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The project that it is of, and of no other; `None`, for an admin's key only, is all of them.
    pub project: Option<ProjectName>,
    /// What it may do.
    pub scope: Scope,
    /// The origins whose pages may use it; a key that has some may only write. None: it is no browser's.
    pub origins: Vec<String>,
    /// What it is for, in somebody's words.
    pub note: Option<String>,
}

/// A key as the server keeps it: without the secret.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its public part.
    pub id: KeyId,
    /// What it is for.
    pub grant: Grant,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
    /// When it was last used, to the hour.
    pub used_us: Option<i64>,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
    pub(crate) hash: [u8; 32],
}

/// The text of a key, which is shown once.
///
/// ```
/// use pugmark_server::{Grant, Scope, Secret};
/// let (secret, hash) = Secret::generate().unwrap();
/// assert!(secret.as_str().starts_with("pm_"));
/// assert_eq!(Secret::parse(secret.as_str()).unwrap().id(), secret.id());
/// assert!(Secret::parse("pm_0123").is_none());
/// # let _ = (hash, Grant { project: None, scope: Scope::Admin, origins: vec![], note: None });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    id: KeyId,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Secret {
    const PREFIX: &str = "pm_";

    /// A new one of 256 random bits, and the hash that is kept of it.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<(Self, [u8; 32]), getrandom::Error> {
        let (mut public, mut secret) = ([0; KeyId::DIGITS / 2], [0; KEY_BITS / 8]);
        getrandom::fill(&mut public)?;
        getrandom::fill(&mut secret)?;
        let id = KeyId(public.iter().map(|byte| format!("{byte:02x}")).collect());
        let text = format!("{}{id}_{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(secret));
        let secret = Self { text, id };
        let hash = secret.hash();
        Ok((secret, hash))
    }

    /// Reads what a caller shows; `None` for what cannot be a key.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(Self::PREFIX)?.split_once('_')?;
        let id = id.parse().ok()?;
        let is_whole = URL_SAFE_NO_PAD.decode(secret).ok()?.len() == KEY_BITS / 8;
        is_whole.then(|| Self { text: text.to_owned(), id })
    }

    /// The public part.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

impl Key {
    /// Whether this is the key of the secret, and stands. It takes as long whatever differs.
    pub fn is_of(&self, secret: &Secret) -> bool {
        let same: bool = self.hash.ct_eq(&secret.hash()).into();
        same && self.revoked_us.is_none()
    }

    /// Whether it may do what needs this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.grant.scope == scope || self.grant.scope == Scope::Admin
    }
}

/// Whether a text is what browsers send as `Origin`: a scheme, a host and perhaps a port, or `*` for all.
pub(crate) fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |host: &str| {
        !host.is_empty() && !host.contains(['/', '*', '?', '#', '@']) && !host.contains(char::is_whitespace)
    };
    text == "*" || host.is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &Secret, hash: [u8; 32], scope: Scope) -> Key {
        let grant = Grant { project: None, scope, origins: Vec::new(), note: None };
        Key { id: secret.id().clone(), grant, created_us: 0, used_us: None, revoked_us: None, hash }
    }

    #[test]
    fn a_key_is_of_its_secret_alone_until_it_is_revoked() {
        let ((own, hash), (other, _)) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let mut key = key(&own, hash, Scope::Write);
        assert!(key.is_of(&own) && !key.is_of(&other));
        let mut forged = own.as_str().to_owned();
        forged.pop();
        forged.push(if own.as_str().ends_with('A') { 'E' } else { 'A' });
        assert!(!key.is_of(&Secret::parse(&forged).unwrap()));
        key.revoked_us = Some(1);
        assert!(!key.is_of(&own));
        assert!(!format!("{own:?}").contains(&own.as_str()[16..]));
    }

    #[test]
    fn an_admin_may_all_and_others_their_own() {
        let (secret, hash) = Secret::generate().unwrap();
        let may = |scope| [Scope::Write, Scope::Read, Scope::Admin].map(|asked| key(&secret, hash, scope).may(asked));
        assert_eq!(may(Scope::Write), [true, false, false]);
        assert_eq!(may(Scope::Read), [false, true, false]);
        assert_eq!(may(Scope::Admin), [true, true, true]);
    }

    #[test]
    fn what_cannot_be_a_key_is_none() {
        let (secret, _) = Secret::generate().unwrap();
        let own = secret.as_str();
        for text in
            ["", "pm_", "pm__", "pm_0123456789ab_", "xx_0123456789ab_AAAA", &own[..own.len() - 1], &format!("{own}A")]
        {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
        assert_eq!(Secret::parse(&own.to_uppercase()), None);
    }
}
