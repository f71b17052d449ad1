using Google.Protobuf;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft;
using Xunit.Abstractions;

namespace Millrace.Tests.Coordination;

/// <summary>
/// The state beside a twin that keeps every revision whole: writes, transactions, what ran ahead and never was, compactions, snapshots that are
/// written while the state goes on.
/// </summary>
public sealed class StoreModelTests(ITestOutputHelper output)
{
    [Fact]
    public void The_state_agrees_with_a_twin_that_keeps_every_revision_whole()
    {
        var first = Seeds.Next(output);
        for (var seed = first; seed < first + Seeds.Rounds(12, 400); seed++)
            new Run(seed).Play(250);
    }

    [Fact]
    public void A_deletion_at_the_compacted_revision_is_still_told_to_watches_also_after_a_snapshot()
    {
        var machine = new CoordinationMachine();
        var run = new Run(1) { Machine = machine };
        run.Put("a", "1"u8.ToArray());
        run.Delete("a", "b");
        machine.Store.Compact(3);
        while (machine.Store.Discard(100))
        {
        }
        foreach (var one in new[] { machine, run.Reload() })
        {
            var changes = new List<BlockId>();
            one.Store.ChangesOf(3, changes);
            Assert.Equal(0, one.Store.View(Assert.Single(changes)).Version);
            Assert.Equal("a"u8, one.Store.View(changes[0]).Key);
        }
    }

    private sealed record Value(byte[] Bytes, long Create, long Mod, long Version);

    private sealed class Run(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly List<SortedDictionary<string, Value>> _states = [new(), new(StringComparer.Ordinal)];
        private readonly List<List<(string Key, bool IsDeletion)>> _changes = [[], []];
        private (MachineSnapshot Snapshot, KeyValueStore Store, long Revision, long Compacted)? _saving;

        public CoordinationMachine Machine { get; set; } = new();

        public void Play(int steps)
        {
            for (var step = 0; step < steps; step++)
            {
                switch (_random.Next(16))
                {
                    case < 6:
                        Put(Key(), Bytes());
                        break;
                    case 6:
                        Delete(Key(), Key());
                        break;
                    case 7:
                        Transaction();
                        break;
                    case 8 or 9:
                        RunAheadInVain();
                        break;
                    case 10 when Machine.Store.Revision > Machine.Store.CompactedRevision + 1:
                        Machine.Store.Compact(_random.NextInt64(Machine.Store.CompactedRevision + 1, Machine.Store.Revision + 1));
                        break;
                    case 11:
                        Machine.Store.Discard(_random.Next(1, 50));
                        break;
                    case 12 when _saving is null:
                        _saving = (Machine.Capture(), Machine.Store, Machine.Store.Revision, Machine.Store.CompactedRevision);
                        break;
                    case 13 when _saving is not null && _random.Next(4) == 0:
                        EndSaving();
                        break;
                    default:
                        Compare(Machine.Store, Machine.Store.Revision);
                        break;
                }
            }
            if (_saving is not null)
                EndSaving();
            Compare(Machine.Store, Machine.Store.Revision);
            EmptyAndWeigh();
        }

        public void Put(string key, byte[] value)
        {
            var next = Next();
            Write(next, key, value);
            Take(next, [(key, false)]);
            Apply(CommandKind.Put, PutOf(key, value));
        }

        public void Delete(string from, string to)
        {
            var next = Next();
            var gone = Within(next, from, to);
            foreach (var key in gone)
                next.Remove(key);
            if (gone.Length > 0)
                Take(next, [.. gone.Select(k => (k, true))]);
            Apply(CommandKind.DeleteRange, new DeleteRangeRequest { Key = Utf8(from), RangeEnd = Utf8(to) });
        }

        public CoordinationMachine Reload()
        {
            var loaded = Load(Machine.Capture(), Machine.Store);
            Machine.Store.Release();
            return loaded;
        }

        private void Transaction()
        {
            var next = Next();
            var txn = new TxnRequest();
            var changes = new List<(string, bool)>();
            foreach (var key in Enumerable.Range(0, _random.Next(1, 8)).Select(_ => Key()).Distinct())
            {
                if (_random.Next(3) > 0)
                {
                    var value = Bytes();
                    Write(next, key, value);
                    changes.Add((key, false));
                    txn.Success.Add(new RequestOp { RequestPut = PutOf(key, value) });
                }
                else
                {
                    if (next.Remove(key))
                        changes.Add((key, true));
                    txn.Success.Add(new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = Utf8(key) } });
                }
            }
            if (changes.Count > 0)
                Take(next, changes);
            Apply(CommandKind.Txn, txn);
        }

        /// <summary>What is written ahead is unseen, and gone once it is taken back.</summary>
        private void RunAheadInVain()
        {
            var before = (Machine.Store.Bytes, Machine.Store.KeyCount, Machine.Store.Memory.Used);
            for (var i = _random.Next(1, 5); i > 0; i--)
            {
                var index = Machine.AppliedIndex + Machine.AheadCount + 1;
                var data = _random.Next(3) == 0
                    ? Command.Encode(CommandKind.DeleteRange, 1, 1, 0, "", new DeleteRangeRequest { Key = Utf8(Key()), RangeEnd = Utf8(Key()) })
                    : Command.Encode(CommandKind.Put, 1, 1, 0, "", PutOf(Key(), Bytes()));
                Assert.True(Machine.RunAhead(new Entry(9, index, EntryKind.Command, data)));
            }
            Compare(Machine.Store, Machine.Store.Revision);
            Machine.TakeBackAhead();
            // A list of versions that grew keeps its room; all else is as it was.
            Assert.Equal((before.Bytes, before.KeyCount), (Machine.Store.Bytes, Machine.Store.KeyCount));
        }

        private void EndSaving()
        {
            var (snapshot, store, revision, compacted) = _saving!.Value;
            var loaded = Load(snapshot, store);
            store.Release();
            _saving = null;
            Assert.Equal((revision, compacted), (loaded.Store.Revision, loaded.Store.CompactedRevision));
            Compare(loaded.Store, revision);
            if (compacted == Machine.Store.CompactedRevision)
                Assert.Equal(Machine.Store.Hash(revision), loaded.Store.Hash(revision));
            if (revision == Machine.Store.Revision && _random.Next(2) == 0)
                Machine = loaded;
        }

        /// <summary>With every key but one deleted and compacted away, no more memory is used than by a store that only ever had that one.</summary>
        private void EmptyAndWeigh()
        {
            Delete("a", "zz");
            Compact();
            Put("only", [1]);
            Compact();
            var fresh = new CoordinationMachine();
            new Run(0) { Machine = fresh }.Put("only", [1]);
            Assert.True(fresh.Store.Memory.Used == Machine.Store.Memory.Used, $"seed {seed}: {Machine.Store.Memory.Used} bytes are used instead of {fresh.Store.Memory.Used}");
            Assert.Equal((fresh.Store.Bytes, fresh.Store.KeyCount), (Machine.Store.Bytes, Machine.Store.KeyCount));

            void Compact()
            {
                if (Machine.Store.CompactedRevision < Machine.Store.Revision)
                    Machine.Store.Compact(Machine.Store.Revision);
                while (Machine.Store.Discard(7))
                {
                }
            }
        }

        private void Compare(KeyValueStore store, long last)
        {
            Assert.Equal(last, store.Revision);
            for (var i = 0; i < 4; i++)
            {
                var revision = i == 0 ? last : _random.NextInt64(Math.Max(1, store.CompactedRevision), last + 1);
                var (from, to) = i == 1 ? (Key(), Key()) : ("\0", "\0");
                var expected = to == "\0" ? [.. _states[(int)revision].Keys] : Within(_states[(int)revision], from, to);
                var found = store.Range(new RangeRequest { Key = Utf8(from), RangeEnd = Utf8(to), Revision = i == 0 ? 0 : revision });
                Assert.True(
                    expected.SequenceEqual(found.Kvs.Select(k => k.Key.ToStringUtf8())), $"seed {seed}: other keys at {revision} of {store.Revision}");
                foreach (var kv in found.Kvs)
                    Same(_states[(int)revision][kv.Key.ToStringUtf8()], kv);
                if (revision > store.CompactedRevision)
                    CompareChanges(store, revision);
            }
        }

        private void CompareChanges(KeyValueStore store, long revision)
        {
            var changes = new List<BlockId>();
            store.ChangesOf(revision, changes);
            Assert.Equal(_changes[(int)revision], changes.Select(c => (store.View(c).ToMessage().Key.ToStringUtf8(), store.View(c).Version == 0)));
            foreach (var id in changes)
            {
                var key = store.View(id).ToMessage().Key.ToStringUtf8();
                var before = store.Before(store.View(id));
                var expected = _states[(int)revision - 1].GetValueOrDefault(key);
                if (revision - 1 >= store.CompactedRevision)
                    Assert.Equal(expected is null, before is null);
                if (expected is not null && before is not null)
                    Same(expected, before);
            }
        }

        private void Same(Value expected, KeyValue found) => Assert.True(
            expected.Bytes.AsSpan().SequenceEqual(found.Value.Span) && (expected.Create, expected.Mod, expected.Version) == (found.CreateRevision, found.ModRevision, found.Version),
            $"seed {seed}: {found.Key.ToStringUtf8()} is not what was written at {expected.Mod}");

        private void Apply(CommandKind kind, IMessage request)
        {
            var entry = new Entry(1, Machine.AppliedIndex + 1, EntryKind.Command, Command.Encode(kind, 1, 1, 0, "", request));
            if (_random.Next(3) == 0)
                Assert.True(Machine.RunAhead(entry));
            Assert.Null(Machine.Apply(entry)!.Value.Result.Error);
        }

        private SortedDictionary<string, Value> Next() => new(_states[^1], StringComparer.Ordinal);

        private void Write(SortedDictionary<string, Value> next, string key, byte[] value) => next[key] = next.TryGetValue(key, out var old)
            ? new Value(value, old.Create, _states.Count, old.Version + 1)
            : new Value(value, _states.Count, _states.Count, 1);

        private void Take(SortedDictionary<string, Value> next, List<(string, bool)> changes)
        {
            _states.Add(next);
            _changes.Add(changes);
        }

        private string Key() => "k" + new string('x', _random.Next(3) * 20) + _random.Next(12);

        private byte[] Bytes()
        {
            var bytes = new byte[_random.Next(400) switch { 0 => 300_000, < 40 => _random.Next(5000), < 120 => 0, _ => _random.Next(100) }];
            Array.Fill(bytes, (byte)_random.Next(256));
            return bytes;
        }

        private static CoordinationMachine Load(MachineSnapshot snapshot, KeyValueStore store)
        {
            using var stream = new MemoryStream();
            using var gate = new ReaderWriterLockSlim();
            snapshot.Write(store, stream, gate);
            stream.Position = 0;
            var loaded = new CoordinationMachine();
            loaded.Load(snapshot.Index, snapshot.Term, stream);
            Assert.Equal(stream.Length, stream.Position);
            return loaded;
        }

        private static string[] Within(SortedDictionary<string, Value> state, string from, string to) =>
            [.. state.Keys.Where(k => string.CompareOrdinal(k, from) >= 0 && string.CompareOrdinal(k, to) < 0)];

        private static PutRequest PutOf(string key, byte[] value) => new() { Key = Utf8(key), Value = ByteString.CopyFrom(value) };

        private static ByteString Utf8(string text) => ByteString.CopyFromUtf8(text);
    }
}
