"""Any interleaving of conditional writes behaves like a sequence of them, checked against a simple model."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from emulator.storage import Preconditions, Source, Store
from emulator.storage.errors import NotFoundError, PreconditionError


class Writers(RuleBasedStateMachine):
    """Writers that write only if the object is still in the state in which they last saw it."""

    seen = Bundle("seen")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.store.buckets.create("bucket")
        self.generation = 0
        self.data: bytes | None = None
        self.count = 0
        self.uploads: dict[str, tuple[int, bytes]] = {}

    def teardown(self) -> None:
        self.store.close()

    def _expect(self, condition: int, data: bytes | None, write: object) -> None:
        before = self.generation
        try:
            stored = write()  # type: ignore[operator]
        except PreconditionError:
            assert condition != before
            return
        except NotFoundError:
            assert before == 0
            return
        assert condition == before
        self.data = data
        self.generation = stored.generation if stored else 0
        assert self.generation == 0 or self.generation > before

    def _next(self) -> bytes:
        self.count += 1
        return str(self.count).encode()

    @rule(target=seen)
    def look(self) -> int:
        return self.generation

    @rule(condition=seen)
    def upload(self, condition: int) -> None:
        data, wanted = self._next(), Preconditions(generation=condition)
        objects = self.store.objects
        self._expect(condition, data, lambda: objects.create("bucket", "object", data, None, wanted))

    @rule(condition=seen)
    def delete(self, condition: int) -> None:
        wanted = Preconditions(generation=condition)
        self._expect(condition, None, lambda: self.store.objects.delete("bucket", "object", None, wanted))

    @rule(condition=seen)
    def copy(self, condition: int) -> None:
        data, wanted = self._next(), Preconditions(generation=condition)
        objects = self.store.objects
        objects.create("bucket", "source", data)
        source = Source("bucket", "source")
        self._expect(condition, data, lambda: objects.copy(source, "bucket", "object", None, wanted))

    @rule(condition=seen)
    def compose(self, condition: int) -> None:
        data, wanted = self._next(), Preconditions(generation=condition)
        objects = self.store.objects
        objects.create("bucket", "source", data)
        sources = [Source("bucket", "source"), Source("bucket", "source")]
        self._expect(condition, data * 2, lambda: objects.compose("bucket", "object", sources, None, wanted))

    @rule(condition=seen)
    def start_session(self, condition: int) -> None:
        data, wanted = self._next(), Preconditions(generation=condition)
        try:
            id = self.store.resumable_uploads.start("bucket", "object", {}, wanted)
        except PreconditionError:
            assert condition != self.generation
            return
        self.store.resumable_uploads.append(id, 0, data)
        self.uploads[id] = (condition, data)

    @rule(choice=st.randoms(use_true_random=False))
    def finish_session(self, choice: object) -> None:
        if self.uploads:
            id = choice.choice(sorted(self.uploads))  # type: ignore[attr-defined]
            condition, data = self.uploads.pop(id)
            self._expect(condition, data, lambda: self.store.resumable_uploads.finish(id, len(data)))

    @invariant()
    def object_is_what_the_model_says(self) -> None:
        if self.data is None:
            listed = self.store.objects.listing("bucket").objects
            assert "object" not in {stored.name for stored in listed}
        else:
            stored = self.store.objects.get("bucket", "object")
            assert (stored.generation, stored.size) == (self.generation, len(self.data))
            assert self.store.objects.read("bucket", "object") == self.data


TestWriters = Writers.TestCase
TestWriters.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@settings(max_examples=30, deadline=None)
@given(
    st.permutations(range(8)),
    st.lists(st.sampled_from(["upload", "copy", "compose", "resumable"]), min_size=8, max_size=8),
)
def test_the_first_of_several_writers_creates_the_object(order: list[int], kinds: list[str]) -> None:
    store = Store()
    try:
        store.buckets.create("bucket")
        wanted = Preconditions(generation=0)
        for writer in range(8):
            store.objects.create("bucket", f"source-{writer}", str(writer).encode())
        sessions = {
            writer: store.resumable_uploads.start("bucket", "claim", {}, wanted)
            for writer, kind in enumerate(kinds)
            if kind == "resumable"
        }
        for writer, id in sessions.items():
            store.resumable_uploads.append(id, 0, str(writer).encode())
        winners = []
        for writer in order:
            source = Source("bucket", f"source-{writer}")
            try:
                if kinds[writer] == "upload":
                    store.objects.create("bucket", "claim", str(writer).encode(), None, wanted)
                elif kinds[writer] == "copy":
                    store.objects.copy(source, "bucket", "claim", None, wanted)
                elif kinds[writer] == "compose":
                    store.objects.compose("bucket", "claim", [source], None, wanted)
                else:
                    store.resumable_uploads.finish(sessions[writer], 1)
            except PreconditionError:
                continue
            winners.append(writer)
        assert winners == order[:1]
        assert store.objects.read("bucket", "claim") == str(order[0]).encode()
    finally:
        store.close()


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=20))
@settings(max_examples=20, deadline=None)
def test_generations_increase_even_if_the_clock_does_not(steps: list[int]) -> None:
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    store = Store(clock=lambda: now[0])
    try:
        store.buckets.create("bucket")
        generations = []
        for step in steps:
            now[0] += timedelta(microseconds=step)
            generations.append(store.objects.create("bucket", "object", b"").generation)
        assert generations == sorted(set(generations))
    finally:
        store.close()
