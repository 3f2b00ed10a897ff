//! Who is asking.

use serde::{Deserialize, Serialize};

use super::peers::Peers;

/// A verified identity with the roles it acts under. Roles are trimmed and in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id; absent for anonymous callers.
    pub user: Option<String>,
    /// Project id; absent for unscoped or system-scoped callers.
    pub project: Option<String>,
    /// Domain of the user.
    pub user_domain: Option<String>,
    /// Domain of the project.
    pub project_domain: Option<String>,
    /// Domain the token is scoped to.
    pub domain: Option<String>,
    /// `all` when the token is scoped to the system.
    pub system_scope: Option<String>,
    /// Roles of the user in that scope.
    pub roles: Vec<String>,
    /// Roles of the service that forwards the request, from `X-Service-Token`.
    pub service_roles: Vec<String>,
    /// Whether policy `context_is_admin` passes; set once, right after authentication.
    pub is_admin: bool,
    /// Anonymous callers may read what is public and write nothing.
    pub read_only: bool,
    /// The image services of the caller's catalogue; none where there is no catalogue, or no use for it. Holds the
    /// token, so it is never written with the rest.
    #[serde(skip)]
    pub peers: Option<Peers>,
}

impl Caller {
    /// The anonymous caller of a service that lets requests without identity in.
    pub fn anonymous() -> Self {
        Self { read_only: true, ..Self::default() }
    }

    /// Whether the caller holds `role` (given in lower case).
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// Whether the caller acts in project `owner`. Callers without a project own nothing.
    pub fn owns(&self, owner: Option<&str>) -> bool {
        self.project.is_some() && self.project.as_deref() == owner
    }
}
