"""The inbox: what was fetched once is judged once, whatever happens in between."""

from __future__ import annotations

import pytest

from bot.inbox import Inbox
from bot.store import Store
from bot.types import Post
from tests.conftest import NOON, HandClock


def post(id: str) -> Post:
    """A post that is nothing but its id."""
    return Post(id, "testsub", "somebody", f"title {id}", "text", NOON, "")


async def put(store: Store, inbox: Inbox, *ids: str) -> None:
    """Stores posts in a transaction of their own."""
    async with store.transaction():
        await inbox.put([post(id) for id in ids])


@pytest.fixture
def inbox(store: Store, clock: HandClock) -> Inbox:
    """An empty inbox."""
    return Inbox(store, clock)


async def test_posts_come_out_in_the_order_they_went_in(store: Store, inbox: Inbox) -> None:
    """First in, first out, in batches; they stay until they are removed."""
    await put(store, inbox, "c", "a", "b")
    first = await inbox.take(2)
    assert [each.post.id for each in first] == ["c", "a"]
    assert await inbox.depth() == 3
    async with store.transaction():
        await inbox.remove([each.post for each in first])
    assert [each.post.id for each in await inbox.take(2)] == ["b"]


async def test_a_post_is_known_from_the_moment_it_is_in(store: Store, inbox: Inbox) -> None:
    """Putting it in twice keeps one, with the time of the first."""
    await put(store, inbox, "a")
    await put(store, inbox, "a")
    assert await inbox.known(["a", "b"]) == {"a"}
    assert await inbox.depth() == 1


async def test_after_a_crash_each_post_comes_alone(store: Store, inbox: Inbox) -> None:
    """Posts whose judging was begun before are taken one by one, with the number of tries; fresh ones together."""
    await put(store, inbox, "a", "b")
    await inbox.take(9)
    await put(store, inbox, "c", "d")
    taken = []
    while await inbox.depth():
        batch = await inbox.take(9)
        taken.append([(each.post.id, each.tries) for each in batch])
        async with store.transaction():
            await inbox.remove([each.post for each in batch])
    assert taken == [[("a", 1)], [("b", 1)], [("c", 0), ("d", 0)]]


async def test_what_a_failed_transaction_put_in_was_never_there(store: Store, inbox: Inbox) -> None:
    """Posts are known only once they are stored."""
    with pytest.raises(RuntimeError):
        async with store.transaction():
            await inbox.put([post("a")])
            raise RuntimeError
    assert (await inbox.known(["a"]), await inbox.take(9)) == (set(), ())


async def test_what_is_in_hand_is_not_taken_again(store: Store, inbox: Inbox) -> None:
    """Posts that are still being read stay in the inbox and out of the next batch, which is not held up by them."""
    await put(store, inbox, "a", "b", "c")
    await inbox.take(2)
    assert [each.post.id for each in await inbox.take(5, besides=["a", "b"])] == ["c"]
    assert await inbox.take(5, besides=["a", "b", "c"]) == ()
    assert await inbox.held(["a", "d"]) == {"a"}
