//! The operations that an OpenAPI document of the shop names, read line by line: enough for documents whose
//! layout is known, and no reader for anyone else's.

use anyhow::{Context as _, Result, bail};
use std::fmt::{Display, Formatter};
use std::path::Path;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "head", "options", "patch"];

/// A documented operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    path: String,
    method: String,
    /// Whether the document says that it should not be used any more.
    pub(crate) deprecated: bool,
}

impl Operation {
    /// Whether a request is one of these: as many segments, equal but for the parameters.
    pub(crate) fn covers(&self, method: &str, path: &str) -> bool {
        let equal = |(ours, theirs): (&str, &str)| ours.starts_with('{') || ours == theirs;
        self.method == method
            && self.path.split('/').count() == path.split('/').count()
            && self.path.split('/').zip(path.split('/')).all(equal)
    }

    /// How many parameters the path has: of several that cover a request, the one with the fewest is meant.
    pub(crate) fn parameters(&self) -> usize {
        self.path.matches('{').count()
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The operations of the document of a role.
pub(crate) fn operations(role: &str) -> Result<Vec<Operation>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("openapi/{role}.yaml"));
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut operations = Vec::<Operation>::new();
    let mut path = None;
    for line in text.lines() {
        let key = line.trim_start().split(':').next().unwrap_or_default();
        match line.len() - line.trim_start().len() {
            2 => path = key.starts_with('/').then(|| key.to_owned()),
            4 if METHODS.contains(&key) => {
                let path = path.clone().with_context(|| format!("{key} outside a path"))?;
                operations.push(Operation { path, method: key.to_uppercase(), deprecated: false });
            }
            6 if line.trim() == "deprecated: true" => {
                operations.last_mut().context("deprecated outside an operation")?.deprecated = true;
            }
            _ => (),
        }
    }
    if operations.is_empty() { bail!("{role} documents nothing") } else { Ok(operations) }
}
