//! For whom there is room among what an account's devices have said.

use super::*;
use crate::peers::statement::{Disown, StatementNumber, Vouch};
use citadel_crypt::identity::Identity;

const ACCOUNT: Cid = Cid(1);
const SERVER: PeerId = PeerId([7; 32]);

fn peer(number: usize) -> PeerId {
    PeerId([u8::try_from(number).unwrap(); 32])
}

fn vouch(signer: &Identity, device: PeerId) -> Claimed {
    let said = Vouch { server: SERVER, account: ACCOUNT, device, number: StatementNumber(1) };
    Claimed::parse(&Statement::from(said).sign(signer).unwrap()).unwrap()
}

fn disown(signer: &Identity, device: PeerId) -> Claimed {
    let said = Disown { server: SERVER, account: ACCOUNT, device, number: StatementNumber(1) };
    Claimed::parse(&Statement::from(said).sign(signer).unwrap()).unwrap()
}

#[test]
fn vouches_leave_room_for_disowns_and_none_is_kept_for_who_was_disowned() {
    let (one, two) = (Identity::generate(), Identity::generate());
    let (first, second) = (one.peer_id(), two.peer_id());
    let mut kept: Vec<Claimed> = (0..31).map(|number| vouch(&one, peer(number))).collect();
    assert_eq!(place_of_vouch(&kept, second, peer(99)), Ok(Some((peer(99), second))));
    kept.push(disown(&two, peer(31)));
    assert_eq!(place_of_vouch(&kept, second, peer(99)), Err(PeerAskError::Full));
    assert_eq!(place_of_vouch(&kept, first, peer(3)), Ok(Some((peer(3), first))), "said again");
    assert_eq!(place_of_vouch(&kept, second, peer(3)), Err(PeerAskError::Full), "said by another");
    assert_eq!(place_of_vouch(&kept, first, peer(31)), Err(PeerAskError::Denied));
}

#[test]
fn fix_0042_a_device_for_whom_somebody_vouched_is_disowned_however_full_it_is() {
    let [one, two, stolen] = [(); 3].map(|()| Identity::generate());
    let (first, second) = (one.peer_id(), two.peer_id());
    let mut kept: Vec<Claimed> = (0..32).map(|number| vouch(&one, peer(number))).collect();
    assert_eq!(place_of_disown(&kept, second, peer(3)), Ok(Some((peer(3), second))));
    assert_eq!(
        place_of_disown(&kept, first, peer(3)),
        Ok(Some((peer(3), first))),
        "in the place of its vouch"
    );
    // A device that was stolen disowns whoever comes to its mind, and leaves room.
    let mind = (100..).map(peer).take_while(|device| {
        let place = place_of_disown(&kept, stolen.peer_id(), *device);
        kept.extend(place.is_ok().then(|| disown(&stolen, *device)));
        place.is_ok()
    });
    assert_eq!(mind.count(), 16);
    assert_eq!(place_of_disown(&kept, second, stolen.peer_id()), Ok(Some((stolen.peer_id(), second))));
    assert_eq!(place_of_disown(&kept, stolen.peer_id(), peer(100)), Ok(None), "said before");
    kept.extend((200..216).map(|number| disown(&two, peer(number))));
    assert_eq!(kept.len(), wire::MAX_STATEMENTS);
    assert_eq!(place_of_disown(&kept, first, peer(99)), Err(PeerAskError::Full));
    for device in (0..32).map(peer) {
        assert_eq!(
            place_of_disown(&kept, second, device),
            Ok(Some((device, first))),
            "in the place of a vouch"
        );
    }
}
