//! Declarations: what is kept at hand for questions that are often asked.

use pugmark_query::columns::{Columns, Declaration, MAX_DECLARATIONS};
use pugmark_query::{Error, ErrorKind, Result};
use pugmark_store::{Operation, Outcome};

use crate::pugmark::Pugmark;

impl Pugmark {
    /// Declares by which properties trends are often cut, and which are often summed: columnar files then keep what such questions ask for. One of the same name is replaced.
    ///
    /// No answer changes, only how fast it comes. It is on record when this returns; for what is stored already it is made in the background,
    /// [`compact`](Self::compact) waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a declaration that contradicts itself, with the field, and for more than [`MAX_DECLARATIONS`]; as [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Declaration, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.declare(&Declaration::new("sales", "purchase").dimension("country").measure("amount"))?;
    /// assert_eq!(db.declarations()?[0].name, "sales");
    /// db.undeclare("sales")?;
    /// assert!(db.declarations()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn declare(&self, declaration: &Declaration) -> Result<()> {
        declaration.validate()?;
        let others = self.declarations()?.iter().filter(|other| other.name != declaration.name).count();
        if others >= MAX_DECLARATIONS {
            let what = format!("{others} declarations stand already, at most {MAX_DECLARATIONS} may");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        self.set(declaration.setting_name(), declaration.setting_value())
    }

    /// Takes a declaration back; what was kept for it goes in the background.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is none of this name; as [`track`](Self::track).
    pub fn undeclare(&self, name: &str) -> Result<()> {
        let declarations = self.declarations()?;
        let Some(declaration) = declarations.iter().find(|declaration| declaration.name == name) else {
            let known: Vec<&str> = declarations.iter().map(|declaration| declaration.name.as_str()).collect();
            let what = format!("nothing is declared as \"{name}\"; declared are [{}]", known.join(", "));
            return Err(Error::new(ErrorKind::Invalid, what));
        };
        self.set(declaration.setting_name(), "null".to_owned())
    }

    /// What is declared, in the order in which it was.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] after a failed write.
    pub fn declarations(&self) -> Result<Vec<Declaration>> {
        let columns = self.store.snapshot().state::<Columns>();
        let columns = columns.ok_or_else(|| Error::new(ErrorKind::Poisoned, "the store has no columns"))?;
        Ok(columns.declarations().cloned().collect())
    }

    fn set(&self, name: String, value: String) -> Result<()> {
        match self.one(Operation::Set { name, value }.into())? {
            Outcome::Rejected(why) => Err(Error::new(ErrorKind::Invalid, why.to_string())),
            _ => Ok(()),
        }
    }
}
