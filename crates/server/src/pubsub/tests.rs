use super::*;

/// The inbox of a reactor: of each message the place of the channel's seat, those of the patterns, and the text.
fn posts(pubsub: &PubSub, reactor: usize) -> Vec<(Option<u32>, Vec<u32>, String)> {
    let mut posts = Vec::new();
    pubsub.inbox(reactor).take(&mut posts, u64::MAX);
    let read = |post: Post| match post {
        Post::Message(message, place, places) => {
            (place, places.to_vec(), String::from_utf8_lossy(message.bytes()).replace("\r\n", " "))
        }
        Post::Bytes { .. } => unreachable!("only messages were posted"),
    };
    posts.into_iter().map(read).collect()
}

/// Publishes; the number reached and the reactors to be woken.
fn publish(pubsub: &PubSub, shard: bool, channel: &[u8], payload: &[u8]) -> (usize, Vec<usize>) {
    let mut posted = Vec::new();
    let reached = pubsub.publish(shard, channel, payload, |reactor| posted.push(reactor));
    (reached, posted)
}

#[test]
fn a_message_goes_once_to_each_reactor_with_a_listener() {
    let pubsub = PubSub::new(3);
    assert_eq!(publish(&pubsub, false, b"a", b"nobody"), (0, vec![]));
    pubsub.subscribe(Kind::Channel, 0, 10, b"a");
    pubsub.subscribe(Kind::Channel, 0, 11, b"a");
    pubsub.subscribe(Kind::Pattern, 1, 12, b"a*");
    pubsub.subscribe(Kind::Pattern, 1, 13, b"a*");
    pubsub.subscribe(Kind::Pattern, 1, 12, b"*");
    pubsub.subscribe(Kind::ShardChannel, 2, 14, b"a");
    assert_eq!(publish(&pubsub, false, b"a", b"x"), (5, vec![0, 1]));
    let of_first = posts(&pubsub, 0);
    assert_eq!(of_first, [(Some(0), vec![], "*3 $7 message $1 a $1 x ".to_owned())]);
    assert_eq!(pubsub.seats(0).at(0).subscribers().len(), 2);
    let of_second = posts(&pubsub, 1);
    assert_eq!(of_second.len(), 1);
    assert_eq!((of_second[0].0, of_second[0].1.len()), (None, 2));
    assert!(posts(&pubsub, 2).is_empty());
    assert_eq!(publish(&pubsub, true, b"a", b"y"), (1, vec![2]));
    assert_eq!(posts(&pubsub, 2)[0].2, "*3 $8 smessage $1 a $1 y ");
}

#[test]
fn nothing_is_left_of_ended_subscriptions() {
    let pubsub = PubSub::new(2);
    for kind in KINDS {
        pubsub.subscribe(kind, 1, 5, b"a");
        pubsub.subscribe(kind, 0, 5, b"a");
        pubsub.unsubscribe(kind, 1, 5, b"a");
        assert_eq!(publish(&pubsub, kind == Kind::ShardChannel, b"a", b"x").0, 1);
        pubsub.unsubscribe(kind, 0, 5, b"a");
        assert_eq!(publish(&pubsub, kind == Kind::ShardChannel, b"a", b"x").0, 0);
    }
    assert!(pubsub.channels(false).is_empty() && pubsub.channels(true).is_empty() && pubsub.patterns().is_empty());
}

#[test]
fn earlier_messages_are_not_for_later_subscribers() {
    let pubsub = PubSub::new(1);
    pubsub.subscribe(Kind::Channel, 0, 1, b"a");
    publish(&pubsub, false, b"a", b"x");
    pubsub.subscribe(Kind::Channel, 0, 2, b"a");
    publish(&pubsub, false, b"a", b"y");
    let mut taken = Vec::new();
    let first = pubsub.inbox(0).take(&mut taken, u64::MAX);
    let seats = pubsub.seats(0);
    let since: Vec<u64> = seats.at(0).subscribers().iter().map(|subscriber| subscriber.since).collect();
    assert_eq!((first, taken.len(), since), (0, 2, vec![0, 1]));
    assert!(!seats.at(0).all_since(0) && seats.at(0).all_since(1));
    assert_eq!(pubsub.inbox(0).posted(), 2);
}

#[test]
fn patterns_are_found_again_after_others_are_gone() {
    let pubsub = PubSub::new(1);
    for text in [b"a*", b"b*", b"c*"] {
        pubsub.subscribe(Kind::Pattern, 0, 1, text);
    }
    pubsub.unsubscribe(Kind::Pattern, 0, 1, b"a*");
    assert_eq!(publish(&pubsub, false, b"a", b"x").0 + publish(&pubsub, false, b"cc", b"x").0, 1);
    pubsub.unsubscribe(Kind::Pattern, 0, 1, b"c*");
    pubsub.unsubscribe(Kind::Pattern, 0, 1, b"b*");
    assert!(pubsub.patterns().is_empty());
}

#[test]
fn posts_are_taken_up_to_a_number() {
    let pubsub = PubSub::new(1);
    pubsub.subscribe(Kind::Channel, 0, 1, b"a");
    (0..5).for_each(|_| assert_eq!(publish(&pubsub, false, b"a", b"x").0, 1));
    let inbox = pubsub.inbox(0);
    let take = |until| {
        let mut posts = Vec::new();
        (inbox.take(&mut posts, until), posts.len())
    };
    assert_eq!((take(2), inbox.waiting()), ((0, 2), 3));
    assert_eq!((take(1), inbox.waiting()), ((2, 0), 3));
    assert_eq!((take(u64::MAX), inbox.waiting(), inbox.posted()), ((2, 3), 0, 5));
}
