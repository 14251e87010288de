//! Everything that a backend holds, as one value to compare.

use super::op::{number_of, space};
use super::script::cid;
use citadel_proto::backend::{Backend, BackendError, Member};
use citadel_proto::peers::{Pair, Party};
use std::collections::BTreeMap;

/// Version and value by peer and key.
pub type Values = BTreeMap<(Option<u8>, Vec<u8>), (u64, Vec<u8>)>;

/// What an account has.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AccountDump {
    /// User, display name, password hash.
    pub names: [String; 3],
    /// Blocked.
    pub blocked: bool,
    /// Revision.
    pub revision: u64,
    /// Added and revoked, by first byte of the peer id.
    pub devices: BTreeMap<u8, (u64, Option<u64>)>,
    /// Mail by number.
    pub mail: BTreeMap<u64, Vec<u8>>,
    /// Version and value by peer and key.
    pub values: Values,
    /// Revision and pair by the other account.
    pub pairs: BTreeMap<u8, (u64, Pair)>,
    /// Vouches by subject and signer.
    pub vouches: BTreeMap<(u8, u8), Vec<u8>>,
}

/// What a backend holds, but for tickets, which nobody can list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Dump {
    /// By number of the account.
    pub accounts: BTreeMap<u8, AccountDump>,
}

/// The pairs that count for an account, their statements left out.
fn outlines_of(own: u8, pairs: &BTreeMap<u8, (u64, Pair)>) -> BTreeMap<u8, Pair> {
    let party = |number| Party::Account(cid(number));
    let counted = pairs.iter().filter(|(other, (_, pair))| pair.counts_for(party(own), party(**other)));
    let outline = |(other, (_, pair)): (&u8, &(u64, Pair))| {
        let mut pair = pair.clone();
        pair.lower.statement.clear();
        pair.upper.statement.clear();
        (*other, pair)
    };
    counted.map(outline).collect()
}

impl Dump {
    /// Reads everything, and checks that user names and accounts lead to each other, and that a pair is the same read singly.
    ///
    /// # Errors
    /// The backend's.
    pub async fn of(backend: &dyn Backend) -> Result<Self, BackendError> {
        let mut dump = Self::default();
        for account in backend.accounts(None, usize::MAX).await? {
            let number = number_of(account.cid);
            let found = backend.account_by_user(&account.user).await?;
            assert_eq!(found.as_ref(), Some(&account), "a user name leads to its account");
            let mut of = AccountDump {
                names: [
                    account.user.clone().into(),
                    account.display_name.clone().into(),
                    account.password.expose().to_owned(),
                ],
                blocked: account.blocked,
                revision: account.revision.0,
                ..AccountDump::default()
            };
            for device in backend.devices(account.cid).await? {
                let member = Member { account: account.clone(), device: Some(device.clone()) };
                let found = backend.member_by_user(&account.user, device.peer).await?;
                assert_eq!(found.as_ref(), Some(&member), "a name leads to the account and its device");
                assert_eq!(backend.member(account.cid, device.peer).await?, found, "and so does a number");
                of.devices.insert(device.peer.0[0], (device.added.0, device.revoked.map(|at| at.0)));
            }
            for mail in backend.mail(account.cid, None, usize::MAX).await? {
                of.mail.insert(mail.id.0, mail.item);
            }
            for about in [None, Some(1), Some(2)] {
                for entry in backend.list_values(space(number, about), b"", None, usize::MAX).await?.entries {
                    let value = (entry.versioned.version.0, entry.versioned.value);
                    of.values.insert((about, entry.key), value);
                }
            }
            for (other, stored) in backend.pairs(account.cid, None, usize::MAX).await? {
                assert_eq!(backend.pair(account.cid, other).await?.as_ref(), Some(&stored));
                of.pairs.insert(number_of(other), (stored.revision.0, stored.pair));
            }
            let outlines = backend.outlines(account.cid).await?;
            let outlines: BTreeMap<u8, Pair> =
                outlines.into_iter().map(|(other, pair)| (number_of(other), pair)).collect();
            assert_eq!(outlines, outlines_of(number, &of.pairs), "outlines are of the pairs that count");
            for vouch in backend.vouches(account.cid).await? {
                of.vouches.insert((vouch[0], vouch[1]), vouch);
            }
            dump.accounts.insert(number, of);
        }
        Ok(dump)
    }
}
