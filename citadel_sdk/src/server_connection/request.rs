//! What a client asks a server for, and in which order.

use citadel_crypt::handshake::{
    DeviceName, DisplayName, NameError, Password, PasswordLength, RefusalCode, Request, UserName,
};

/// A name or a password that no server takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The user name.
    #[error("the user name: {0}")]
    User(NameError),
    /// The name to be shown.
    #[error("the display name: {0}")]
    DisplayName(NameError),
    /// The name of the device.
    #[error("the device's name: {0}")]
    Device(NameError),
    /// The password.
    #[error("the password: {0}")]
    Password(PasswordLength),
}

/// One request, or those by which an account is had in any case.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Plain(Request),
    Any { login: Request, register: Request, add_device: Request },
}

impl Ask {
    pub(super) fn login(user: &str) -> Result<Self, CredentialsError> {
        Ok(Self::Plain(login(user)?))
    }

    pub(super) fn register(user: &str, password: &str) -> Result<Self, CredentialsError> {
        Ok(Self::Plain(register(user, password)?))
    }

    pub(super) fn add_device(user: &str, password: &str) -> Result<Self, CredentialsError> {
        Ok(Self::Plain(add_device(user, password)?))
    }

    pub(super) fn any(user: &str, password: &str) -> Result<Self, CredentialsError> {
        Ok(Self::Any {
            login: login(user)?,
            register: register(user, password)?,
            add_device: add_device(user, password)?,
        })
    }

    pub(super) fn with_names(self, display_name: &str, device: &str) -> Result<Self, CredentialsError> {
        let display_name = DisplayName::new(display_name).map_err(CredentialsError::DisplayName)?;
        let device = DeviceName::new(device).map_err(CredentialsError::Device)?;
        let name = |request| named(request, &display_name, &device);
        Ok(match self {
            Self::Plain(request) => Self::Plain(name(request)),
            Self::Any { login, register, add_device } => {
                Self::Any { login, register: name(register), add_device: name(add_device) }
            }
        })
    }

    /// What to try, in this order.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        let requests = match self {
            Self::Plain(request) => [Some(request), None, None],
            Self::Any { login, register, add_device } => [Some(login), Some(register), Some(add_device)],
        };
        requests.into_iter().flatten()
    }

    /// Whether the next one is tried after that refusal: the device is not known, or the name is taken. The last one's refusal
    /// stays the last one's either way.
    pub(super) fn goes_on(&self, refused: Option<RefusalCode>) -> bool {
        let tells_more = matches!(refused, Some(RefusalCode::CREDENTIALS | RefusalCode::USER_TAKEN));
        matches!(self, Self::Any { .. }) && tells_more
    }

    /// What is left to ask for when the account knows the device.
    pub(super) fn once_known(self) -> Self {
        match self {
            Self::Plain(Request::Register { user, .. } | Request::AddDevice { user, .. }) => {
                Self::Plain(Request::Login { user })
            }
            Self::Any { login, .. } => Self::Plain(login),
            plain @ Self::Plain(_) => plain,
        }
    }
}

fn named(request: Request, shown: &DisplayName, called: &DeviceName) -> Request {
    match request {
        Request::Register { user, password, .. } => {
            Request::Register { user, password, display_name: shown.clone(), device: called.clone() }
        }
        Request::AddDevice { user, password, .. } => {
            Request::AddDevice { user, password, device: called.clone() }
        }
        other => other,
    }
}

fn user_name(user: &str) -> Result<UserName, CredentialsError> {
    UserName::new(user).map_err(CredentialsError::User)
}

fn login(user: &str) -> Result<Request, CredentialsError> {
    Ok(Request::Login { user: user_name(user)? })
}

fn register(user: &str, password: &str) -> Result<Request, CredentialsError> {
    Ok(Request::Register {
        user: user_name(user)?,
        display_name: DisplayName::new(user).map_err(CredentialsError::DisplayName)?,
        password: Password::new(password).map_err(CredentialsError::Password)?,
        device: DeviceName::new("").map_err(CredentialsError::Device)?,
    })
}

fn add_device(user: &str, password: &str) -> Result<Request, CredentialsError> {
    Ok(Request::AddDevice {
        user: user_name(user)?,
        password: Password::new(password).map_err(CredentialsError::Password)?,
        device: DeviceName::new("").map_err(CredentialsError::Device)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_server_takes_are_told_apart() {
        assert!(matches!(Ask::login(" alice"), Err(CredentialsError::User(_))));
        assert!(matches!(Ask::register("alice", ""), Err(CredentialsError::Password(_))));
        let named = Ask::register("alice", "secret").unwrap().with_names("Alice\n", "");
        assert!(matches!(named, Err(CredentialsError::DisplayName(_))));
    }

    #[test]
    fn once_the_device_is_known_it_logs_in() {
        for ask in
            [Ask::register("a", "pw"), Ask::add_device("a", "pw"), Ask::any("a", "pw"), Ask::login("a")]
        {
            let Ask::Plain(Request::Login { user }) = ask.unwrap().once_known() else { panic!("a login") };
            assert_eq!(user.as_str(), "a");
        }
        assert!(matches!(Ask::Plain(Request::Transient).once_known(), Ask::Plain(Request::Transient)));
    }

    #[test]
    fn only_an_unknown_device_or_a_taken_name_leads_on() {
        let any = Ask::any("a", "pw").unwrap();
        assert_eq!(any.requests().count(), 3);
        assert!(any.goes_on(Some(RefusalCode::CREDENTIALS)) && any.goes_on(Some(RefusalCode::USER_TAKEN)));
        assert!(!any.goes_on(Some(RefusalCode::RATE_LIMITED)) && !any.goes_on(None));
        assert!(!Ask::login("a").unwrap().goes_on(Some(RefusalCode::CREDENTIALS)));
    }
}
