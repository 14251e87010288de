//! What could go wrong where two hands, the task's and a handle's, write to one path.

use super::*;
use crate::session::RekeyPolicy;
use core::time::Duration;
use futures::FutureExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Wake;

#[tokio::test(start_paused = true)]
async fn fix_0022_a_close_that_the_path_takes_late_is_known_to_have_left() {
    let joined = Joined::new().await;
    joined.set(Gate::Shut(None));
    // Else the peer's answer would end what waits here.
    joined.meters[0].lock().deafen();
    joined.client.abort();
    settle().await;
    assert!(joined.client.closed().now_or_never().is_none());
    joined.set(Gate::Open);
    settle().await;
    assert!(joined.client.closed().now_or_never().is_some(), "before the deadline of the stage");
}

#[tokio::test(start_paused = true)]
async fn fix_0023_a_long_message_goes_whole_from_the_hand_that_sends_it() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    joined.meters[1].lock().deafen();
    writer.send(vec![7; 300_000]).await.unwrap();
    settle().await;
    let written = joined.meters[0].lock().written;
    assert!(written >= 300_000, "{written} bytes, and nobody would write the rest");
}

#[tokio::test(start_paused = true)]
async fn fix_0023_a_round_that_a_record_makes_due_begins_with_it() {
    let rekey = RekeyPolicy::Background { records: 1, bytes: u64::MAX, interval: Duration::ZERO };
    // A deadline that comes before every other one, and not in this test.
    let ping_after = Duration::from_millis(1);
    let joined = Joined::of(SessionConfig { rekey, ping_after, ..SessionConfig::default() }).await;
    let (mut writer, _reader) = joined.channels();
    writer.send("worn out").await.unwrap();
    settle().await;
    assert_eq!(joined.client.version().0, 1);
}

#[tokio::test(start_paused = true)]
async fn fix_0024_a_path_that_breaks_under_the_task_leaves_nothing() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    writer.send("alone").await.unwrap();
    joined.set(Gate::Broken);
    writer.send("for the task").await.unwrap();
    settle().await;
    let report = joined.client.closed().now_or_never().unwrap();
    assert_eq!(*report.reason(), CloseReason::PathLost(PathLoss::Io));
    assert_eq!(joined.hubs[0].sessions(), 0, "nothing is waited for on a path that takes nothing");
    assert_eq!(joined.lent(), [0, 0]);
}

#[test]
fn fix_0024_a_sender_whose_runtime_goes_while_it_writes_gives_its_buffer_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    let joined = runtime.block_on(Joined::new());
    let (mut writer, _reader) = joined.channels();
    joined.set(Gate::Shut(None));
    joined.meters[0].lock().on_write = Some(Box::new(move || drop(runtime)));
    writer.try_send("into the order").unwrap();
    assert!(joined.client.closed().now_or_never().is_some());
    assert_eq!(joined.lent(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn fix_0025_a_stream_that_panics_under_a_sender_is_lost_for_the_session() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    joined.set(Gate::Panics);
    assert!(catch_unwind(AssertUnwindSafe(|| writer.try_send("sealed"))).is_err());
    joined.set(Gate::Open);
    settle().await;
    assert!(joined.client.closed().now_or_never().is_some(), "nobody would ever have the writer");
    assert_eq!(joined.lent(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn fix_0026_what_came_before_a_path_broke_under_a_sender_is_heard() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    joined.meters[0].lock().deafen();
    joined.server.abort();
    settle().await;
    joined.set(Gate::Broken);
    writer.try_send("to nobody").unwrap();
    joined.hear();
    settle().await;
    let report = joined.client.closed().now_or_never().unwrap();
    assert_eq!(*report.reason(), CloseReason::Aborted, "as the peer said");
}

#[tokio::test(start_paused = true)]
async fn fix_0027_a_timer_that_is_set_by_a_task_out_of_budget_fires() {
    let joined = Joined::new().await;
    let (mut reader, mut writer) = joined.channels();
    writer.send("to be acknowledged").await.unwrap();
    assert!(reader.recv().await.unwrap().is_some());
    settle().await;
    let (before, config) = (joined.writes(), SessionConfig::default());
    joined.meters[0].lock().deafen();
    joined.meters[0].lock().is_greedy = true;
    tokio::time::advance(config.ack_delay).await;
    settle().await;
    joined.meters[0].lock().is_greedy = false;
    assert_eq!(joined.writes(), before + 1, "the acknowledgement");
    tokio::time::advance(config.ping_after).await;
    settle().await;
    assert_eq!(joined.writes(), before + 2, "the ping");
}

impl Joined {
    /// Something that happens in the middle of the client's next write.
    fn meanwhile(&self, act: impl FnOnce() + Send + 'static) {
        self.meters[0].lock().on_write = Some(Box::new(act));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_while_another_hand_writes_is_written_by_that_hand() {
    let joined = Joined::new().await;
    let (mut first, mut reader) = joined.channels();
    let second = Arc::new(Mutex::new(joined.client.open_channel().await.unwrap()));
    settle().await;
    let (before, sender) = (joined.writes(), Arc::clone(&second));
    joined.meanwhile(move || sender.lock().try_send("there").unwrap());
    first.try_send("here").unwrap();
    assert_eq!(joined.writes(), before + 2);
    settle().await;
    assert_eq!(reader.try_recv().unwrap().unwrap(), "here");
    let mut other = joined.server.accept_channel().await.unwrap().unwrap();
    assert_eq!(other.try_recv().unwrap().unwrap(), "there");
}

#[tokio::test(start_paused = true)]
async fn what_the_task_has_to_send_while_a_hand_writes_is_written_by_that_hand() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    let (before, client) = (joined.writes(), joined.client.clone());
    joined.meanwhile(move || {
        // As in a turn of the task.
        client.shared().act(|core, clock| {
            core.machine.trigger_rekey(clock.now()).unwrap();
            core.send_by_task(clock.now(), &mut None);
            ((), super::super::shared::Wake::Nobody)
        });
    });
    writer.try_send("from the hand").unwrap();
    assert_eq!(joined.writes(), before + 2, "the message, and the offer of a round");
}

#[tokio::test(start_paused = true)]
async fn a_hand_that_comes_back_from_a_path_that_was_replaced_is_not_heard_there() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    let (new, mut other_end) = duplex(1 << 20);
    let (before, client) = (joined.writes(), joined.client.clone());
    joined.meanwhile(move || {
        // As when a resumption brings a path.
        client.shared().act(|core, _| {
            assert!(core.replace_writer(Some(Box::new(new))).is_none(), "it is away");
            ((), super::super::shared::Wake::Nobody)
        });
    });
    writer.try_send("on the old path").unwrap();
    assert_eq!(joined.writes(), before + 1);
    writer.try_send(vec![7; 60_000]).unwrap();
    assert_eq!(joined.writes(), before + 1);
    let mut bytes = vec![0; 60_000];
    assert_eq!(tokio::io::AsyncReadExt::read_exact(&mut other_end, &mut bytes).await.unwrap(), 60_000);
}

/// A stream that remembers one waker, whoever polls it for whatever.
struct Forgetful {
    io: DuplexStream,
    slot: Arc<Slot>,
}

#[derive(Default)]
struct Slot(Mutex<Option<Waker>>);

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        let waker = self.0.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Forgetful {
    fn polled<R>(
        &mut self,
        cx: &Context<'_>,
        poll: impl FnOnce(Pin<&mut DuplexStream>, &mut Context<'_>) -> R,
    ) -> R {
        *self.slot.0.lock() = Some(cx.waker().clone());
        let waker = Arc::clone(&self.slot).into();
        poll(Pin::new(&mut self.io), &mut Context::from_waker(&waker))
    }
}

impl AsyncRead for Forgetful {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.polled(cx, |io, cx| io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Forgetful {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.polled(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, |io, cx| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled(cx, |io, cx| io.poll_shutdown(cx))
    }
}

#[tokio::test(start_paused = true)]
async fn fix_0028_a_sender_does_not_take_the_task_s_place_as_who_is_woken() {
    let (near, far) = duplex(1 << 20);
    let near = Forgetful { io: near, slot: Arc::default() };
    let joined = Joined::over(near, far, Default::default(), Default::default()).await;
    let (mut here, mut there) = joined.channels();
    here.send("from the hand").await.unwrap();
    settle().await;
    there.send("the answer").await.unwrap();
    settle().await;
    assert_eq!(here.try_recv().unwrap().unwrap(), "the answer");
}
