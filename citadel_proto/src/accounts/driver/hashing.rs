//! Hashes passwords on blocking threads, a few at once.

use super::AccountsSetupError;
use crate::accounts::config::Hashing;
use crate::accounts::password::{HashError, PasswordHasher, SALT_LEN, Verified};
use crate::accounts::step::Failure;
use crate::backend::PasswordHash;
use citadel_crypt::handshake::Password;
use citadel_crypt::suite::CryptoProvider;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;

pub(super) struct HashPool {
    hasher: Arc<dyn PasswordHasher>,
    decoy: PasswordHash,
    /// Places to run or wait in.
    places: Arc<Semaphore>,
    /// Places to run in.
    running: Arc<Semaphore>,
}

impl HashPool {
    pub(super) fn new(
        hasher: Arc<dyn PasswordHasher>,
        config: Hashing,
        provider: &dyn CryptoProvider,
    ) -> Result<Self, AccountsSetupError> {
        let half = || available_parallelism().map_or(1, |cores| cores.get() / 2);
        let at_once = config.at_once.unwrap_or_else(half).clamp(1, Semaphore::MAX_PERMITS / 2);
        let places = at_once + config.waiting.min(Semaphore::MAX_PERMITS / 2);
        let mut random = [0; SALT_LEN + 32];
        provider.random(&mut random)?;
        let decoy = hasher.decoy(&random)?;
        let (places, running) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(at_once)));
        Ok(Self { hasher, decoy, places, running })
    }

    /// One run: of `password` against `stored`, or against what no password fits.
    pub(super) async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
    ) -> Result<Verified, Failure> {
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        self.run(move |hasher| hasher.verify(&password, &stored)).await
    }

    /// One run.
    pub(super) async fn hash(
        &self,
        password: Password,
        salt: [u8; SALT_LEN],
    ) -> Result<PasswordHash, Failure> {
        self.run(move |hasher| hasher.hash(&password, &salt)).await
    }

    /// A job that was begun keeps its places to its end, also when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn PasswordHasher) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Failure::Busy)?;
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Failure::Unavailable)?;
        let hasher = Arc::clone(&self.hasher);
        let run = move || {
            let result = job(&*hasher);
            drop((turn, place));
            result
        };
        let done = if self.hasher.is_instant() { Ok(run()) } else { tokio::task::spawn_blocking(run).await };
        match done {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => {
                log::error!(target: "citadel::accounts", "{error}");
                Err(Failure::Unavailable)
            }
            // The hasher panicked, or the runtime is going down.
            Err(_) => Err(Failure::Unavailable),
        }
    }
}
